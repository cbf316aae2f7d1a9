/* Links left where the compiler's output is expected, pointing at a canary of the host: harvest()
 * takes nothing through them, and does without its layer, so that the attempts prove something. */
#include "lib/base/cleanup.h"
#include "sandbox/harvest.h"
#include "sandbox/mounts.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/rustbox-harvest-XXXXXX";

/* Whether the run's box holds the canary when `link` in the compile's /tmp leads to `target`. */
static bool reaches(const char *link, const char *target, bool directory, const char *in_box,
                    bool follow)
{
    struct harvested took;
    struct err refused, err;
    struct harvest what = {
        .name = link, .directory = directory, .max_bytes = 1 << 20, .follow_links = follow};
    char text[16] = "";
    AUTO_FD int tmp = mounts_tmpfs(1 << 20, 64, 01777, &err);
    assert_true(tmp >= 0);
    assert_int_equal(symlinkat(target, tmp, link), 0);
    AUTO_FD int box = harvest(tmp, &what, &took, &refused, &err);
    if (box < 0)
        fail_msg("%s", err.message);
    AUTO_FD int file = openat(box, in_box, O_RDONLY | O_CLOEXEC);
    return file >= 0 && read(file, text, sizeof text - 1) == 6 && strcmp(text, "canary") == 0;
}

static void test_links(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/secret", dir);
    for (int follow = 0; follow < 2; follow++) {
        assert_int_equal(reaches("main", path, false, "main", follow), follow);
        assert_int_equal(reaches("main.js", path, false, "main.js", follow), follow);
        assert_int_equal(reaches("classes", dir, true, "classes/secret", follow), follow);
    }
}

static int start(void **state)
{
    (void)state;
    char path[64];
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: mounting a tmpfs needs root\n");
        _exit(77);
    }
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/secret", dir);
    AUTO_FD int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    return write(file, "canary", 6) == 6 ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/secret", dir);
    return unlink(path) == 0 ? rmdir(dir) : -1;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_links)};
    return cmocka_run_group_tests(tests, start, stop);
}
