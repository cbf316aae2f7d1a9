/* Given files whose paths climb out of the sandbox: the launcher refuses them whoever the client
 * is, and its writer without that check would put them on the host, so that the attempts prove
 * something. */
#include "lib/base/cleanup.h"
#include "sandbox/given.h"
#include "sandbox/mounts.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct box_fixture fixture;
static char dir[] = "/tmp/rustbox-given-XXXXXX", target[64];

static bool planted(void)
{
    struct stat st;
    bool there = lstat(target, &st) == 0;
    unlink(target);
    return there;
}

/* The writer alone, as if nobody had looked at the path. */
static void test_writer_without_the_check(void **state)
{
    (void)state;
    struct err err;
    AUTO_FD int tmp = mounts_tmpfs(1 << 20, 64, 0755, &err);
    AUTO_FD int from = memfd_create("content", MFD_CLOEXEC);
    assert_true(tmp >= 0 && from >= 0);
    assert_ok(mounts_copy_part(tmp, target, from, 0, 0, 0444, &err), err);
    assert_true(planted());
}

/* Through the socket: the client that sends such a job is dropped, and nothing is written. */
static void refused(const char *path)
{
    struct err err;
    struct box_report report;
    struct box *box;
    struct box_info info;
    struct box_file file = {span_text(path), SPAN_LIT("planted")};
    struct box_job job = box_fixture_job(LANGUAGE_python, "print(1)\n");
    job.files = &file;
    job.file_count = 1;
    assert_ok(box_open(fixture.socket, 5000, &box, &info, &err), err);
    assert_ok(box_submit(box, &job, &err), err);
    int got;
    while ((got = box_next(box, &report, &err)) == 0)
        usleep(1000);
    if (got > 0)
        fail_msg("a job with the file \"%s\" was run", path);
    box_close(box);
    assert_false(planted());
}

static void test_paths_that_climb(void **state)
{
    (void)state;
    char climbing[128];
    snprintf(climbing, sizeof climbing, "../../../../..%s", target);
    refused(target);
    refused(climbing);
    refused(climbing + 6);
    static const char *const paths[] = {"..",   ".",  "",    "/",    "a/../b",
                                        "a//b", "a/", "./a", "a/..", "a\nb"};
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        refused(paths[i]);
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, "print(1)\n");
    box_fixture_run(&fixture, &job, &report);
    assert_true(span_is(report.out, "1\n"));
    box_report_done(&report);
}

/* What a client says of the sizes is not believed either. */
static void test_sizes_that_lie(void **state)
{
    (void)state;
    struct err err;
    struct given given = {.file_count = 0};
    AUTO_FD int tmp = mounts_tmpfs(1 << 20, 64, 0755, &err);
    AUTO_FD int from = memfd_create("content", MFD_CLOEXEC);
    assert_true(tmp >= 0 && from >= 0);
    assert_err(given_add_file(&given, "a", GIVEN_FILES_BYTES + 1, &err), err, ERR_INVALID);
    assert_ok(given_add_file(&given, "a", 1, &err), err);
    assert_err(given_put(tmp, &given, from, 0, &err), err, ERR_INVALID);
}

static int start(void **state)
{
    (void)state;
    box_fixture_start(&fixture, NULL); /* skips when not root */
    if (!mkdtemp(dir))
        return -1;
    snprintf(target, sizeof target, "%s/planted", dir);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    box_fixture_stop(&fixture);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_writer_without_the_check),
                                       cmocka_unit_test(test_paths_that_climb),
                                       cmocka_unit_test(test_sizes_that_lie)};
    return cmocka_run_group_tests_name("escape_files", tests, start, stop);
}
