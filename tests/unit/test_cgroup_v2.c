/* The v2 backend on a directory tree of plain files: every limit is written and read back, a wrong
 * read-back is an error, and the numbers come from the right files. What a kernel does with them is
 * not tested here. */
#include "lib/base/cleanup.h"
#include "sandbox/cgroup.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir_path[64];
static struct cgroup group;

static void put(const char *name, const char *text)
{
    AUTO_FD int fd = openat(group.dirs[0], name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void assert_holds(const char *name, const char *wanted)
{
    char text[256];
    struct err err;
    assert_ok(cgroup_read(group.dirs[0], name, text, sizeof text, &err), err);
    assert_string_equal(text, wanted);
}

static const char *const limit_files[] = {"memory.max", "memory.oom.group", "memory.swap.max",
                                          "pids.max"};
static const char *const other_files[] = {"cpu.stat",    "memory.events", "memory.peak",
                                          "pids.events", "pids.peak",     "cgroup.events"};

static int setup(void **state)
{
    (void)state;
    snprintf(dir_path, sizeof dir_path, "/tmp/cgroup-test-XXXXXX");
    assert_non_null(mkdtemp(dir_path));
    group = (struct cgroup){CGROUP_NONE, .swap = true};
    group.dirs[0] = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < COUNT_OF(limit_files); i++)
        put(limit_files[i], "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(limit_files); i++)
        unlinkat(group.dirs[0], limit_files[i], 0);
    for (size_t i = 0; i < COUNT_OF(other_files); i++)
        unlinkat(group.dirs[0], other_files[i], 0);
    cgroup_close(&group);
    return rmdir(dir_path);
}

static void test_limits(void **state)
{
    (void)state;
    struct err err;
    assert_ok(cgroup_v2.limit(&group, 268435456, 10, &err), err);
    assert_holds("memory.max", "268435456");
    assert_holds("memory.oom.group", "1");
    assert_holds("memory.swap.max", "0");
    assert_holds("pids.max", "10");
    assert_true(group.memory_bytes == 268435456 && group.processes == 10);
}

/* Plain files keep what is behind the bytes written, as a kernel that holds something else. */
static void test_wrong_read_back(void **state)
{
    (void)state;
    struct err err;
    for (size_t i = 0; i < COUNT_OF(limit_files); i++) {
        for (size_t k = 0; k < COUNT_OF(limit_files); k++)
            put(limit_files[k], "");
        put(limit_files[i], "99999999999");
        assert_err(cgroup_v2.limit(&group, 268435456, 10, &err), err, ERR_SYSTEM);
        assert_non_null(strstr(err.message, limit_files[i]));
    }
}

static void test_missing_files(void **state)
{
    (void)state;
    struct err err;
    /* Only swap may be missing: a kernel without it. */
    unlinkat(group.dirs[0], "memory.swap.max", 0);
    assert_err(cgroup_v2.limit(&group, 268435456, 10, &err), err, ERR_SYSTEM);
    group.swap = false;
    assert_ok(cgroup_v2.limit(&group, 268435456, 10, &err), err);
    for (size_t i = 0; i < COUNT_OF(limit_files); i++) {
        if (strcmp(limit_files[i], "memory.swap.max") == 0)
            continue;
        unlinkat(group.dirs[0], limit_files[i], 0);
        assert_err(cgroup_v2.limit(&group, 268435456, 10, &err), err, ERR_SYSTEM);
        put(limit_files[i], "");
    }
}

static void test_usage(void **state)
{
    (void)state;
    struct err err;
    struct cgroup_usage usage;
    put("cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n");
    put("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n");
    put("pids.events", "max 4\n");
    /* Peaks are newer than some kernels. */
    assert_ok(cgroup_v2.usage(&group, &usage, &err), err);
    assert_true(usage.cpu_ns == 1500000 && usage.oom_events == 2 && usage.oom_kills == 3);
    assert_true(usage.pids_denied == 4 && usage.memory_peak_bytes == 0 && usage.pids_peak == 0);
    put("memory.peak", "12345\n");
    put("pids.peak", "9\n");
    assert_ok(cgroup_v2.usage(&group, &usage, &err), err);
    assert_true(usage.memory_peak_bytes == 12345 && usage.pids_peak == 9);
    /* Without the count of OOM kills there is no verdict on memory. */
    put("memory.events", "low 0\nmax 7\n");
    assert_err(cgroup_v2.usage(&group, &usage, &err), err, ERR_SYSTEM);
    put("memory.events", "oom 0\noom_kill 0\n");
    put("cpu.stat", "nothing\n");
    assert_err(cgroup_v2.usage(&group, &usage, &err), err, ERR_SYSTEM);
}

static void test_empty(void **state)
{
    (void)state;
    struct err err;
    bool empty = true;
    assert_err(cgroup_v2.empty(&group, &empty, &err), err, ERR_SYSTEM);
    put("cgroup.events", "populated 1\nfrozen 0\n");
    assert_ok(cgroup_v2.empty(&group, &empty, &err), err);
    assert_false(empty);
    put("cgroup.events", "populated 0\nfrozen 0\n");
    assert_ok(cgroup_v2.empty(&group, &empty, &err), err);
    assert_true(empty);
    put("cgroup.events", "frozen 0\n");
    assert_err(cgroup_v2.empty(&group, &empty, &err), err, ERR_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
