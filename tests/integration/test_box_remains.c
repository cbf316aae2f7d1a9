/* When the ends of sandboxes do not come, here because a group was put below each job's, their
 * number is bounded: with REMAINS_MAX of them no job starts, and as soon as there are fewer the one
 * that waited does. */
#include "sandbox/host.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE "/sys/fs/cgroup/memory"
#define WAIT_MS 400
#define JOBS_MAX (3 * REMAINS_MAX)

static struct box_fixture fixture;

/* Below every group of the launcher's, also those of later jobs: made or removed. How many. */
static unsigned each_group(bool hold)
{
    char parent[96], path[400];
    unsigned count = 0;
    snprintf(parent, sizeof parent, TREE "/rustbox-%u", box_fixture_instance(&fixture));
    DIR *list = opendir(parent);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        count++;
        snprintf(path, sizeof path, "%s/%s/hold", parent, entry->d_name);
        if (hold)
            mkdir(path, 0755);
        else
            rmdir(path);
    }
    if (list)
        closedir(list);
    return count;
}

/* Whether the job was started; its report is taken then. */
static bool starts(void)
{
    struct err err;
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, "print('x')\n");
    struct pollfd reports = {.fd = box_fd(fixture.box), .events = POLLIN};
    assert_ok(box_submit(fixture.box, &job, &err), err);
    if (poll(&reports, 1, WAIT_MS) == 0)
        return false;
    box_fixture_next(&fixture, &report);
    assert_true(report.evidence.setup_ok);
    box_report_done(&report);
    return true;
}

static void test_bounded(void **state)
{
    (void)state;
    struct box_report report;
    unsigned jobs = 0;
    if (access(TREE "/tasks", F_OK) != 0)
        return print_message("skipped: control groups v2\n");
    do
        each_group(true);
    while (starts() && ++jobs < JOBS_MAX);
    unsigned left = each_group(true);
    print_message("%u jobs, then %u groups\n", jobs, left);
    assert_true(jobs >= REMAINS_MAX && jobs < JOBS_MAX);
    /* Those of the remains, and those made ahead. */
    assert_true(left >= REMAINS_MAX && left <= REMAINS_MAX + CGROUP_AHEAD);
    each_group(false);
    box_fixture_next(&fixture, &report);
    assert_true(report.evidence.setup_ok);
    box_report_done(&report);
    struct box_leftovers settled = box_fixture_settled(&fixture);
    assert_int_equal(settled.groups, 0);
}

/* Also after a failure: no launcher could sweep such groups. */
static int let_go(void **state)
{
    (void)state;
    each_group(false);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_bounded, let_go)};
    return box_fixture_group(&fixture, (const char *const[]){"--slots", "1", NULL}, "box_remains",
                             tests, COUNT_OF(tests));
}
