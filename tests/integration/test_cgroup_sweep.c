/* What a dead launcher left in the control groups (sandbox/cgroup_root.c), also groups below its
 * jobs', which only an administrator can have made: swept to a bounded depth, else named. Control
 * groups v1, in a tree of this test's own; tests/vm does the same on v2. */
#include "lib/base/cleanup.h"
#include "sandbox/cgroup.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const trees[] = {"memory", "pids", "cpuacct", "cpu"};
static char base[32] = "/tmp/cgroup-sweep-XXXXXX";
static struct cgroup_root root;

static void path_of(char out[256], const char *tree, const char *below)
{
    snprintf(out, 256, "%s/%s/%s", base, tree, below);
}

/* In each tree. */
static void make(const char *below)
{
    char path[256];
    for (size_t i = 0; i < COUNT_OF(trees); i++) {
        path_of(path, trees[i], below);
        if (mkdir(path, 0755) != 0 && errno != EEXIST) /* cpu and cpuacct may be one */
            fail_msg("mkdir %s: %s", path, strerrordesc_np(errno));
    }
}

static bool there(const char *below)
{
    char path[256];
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(trees); i++) {
        path_of(path, trees[i], below);
        found |= access(path, F_OK) == 0;
    }
    return found;
}

static pid_t live_in(const char *below)
{
    char path[256], text[16];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
        for (;;)
            pause();
    snprintf(text, sizeof text, "%d", (int)pid);
    for (size_t i = 0; i < 2; i++) {
        path_of(path, trees[i], below);
        AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(dir >= 0 && cgroup_write(dir, "cgroup.procs", text, NULL) == 0);
    }
    return pid;
}

static int open_root(unsigned *swept, struct err *err)
{
    root = (struct cgroup_root){.backend = &cgroup_v1, .dirs = {-1, -1, -1, -1}};
    snprintf(root.base, sizeof root.base, "%s", base);
    *swept = 0;
    return cgroup_root_open(&root, swept, err);
}

static void test_groups_below_jobs(void **state)
{
    (void)state;
    struct err err;
    unsigned swept;
    int status;
    make("rustbox-7");
    make("rustbox-7/job-1");
    make("rustbox-7/job-1/a");
    make("rustbox-7/job-1/a/b");
    make("rustbox-7/job-1/c");
    make("rustbox-7/other");
    pid_t high = live_in("rustbox-7/job-1"), low = live_in("rustbox-7/job-1/a/b");
    assert_ok(open_root(&swept, &err), err);
    assert_true(swept >= 6); /* two groups in three trees or more; what is below counts as one */
    assert_int_equal(waitpid(high, &status, 0), high);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(waitpid(low, &status, 0), low);
    assert_true(WIFSIGNALED(status));
    assert_false(there("rustbox-7"));
    cgroup_root_close(&root);
    assert_false(there("rustbox-0"));
}

static void test_too_deep(void **state)
{
    (void)state;
    struct err err;
    unsigned swept;
    char deep[128] = "rustbox-7";
    make(deep);
    for (int i = 0; i < 10; i++) {
        snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "/%d", i);
        make(deep);
    }
    assert_int_equal(open_root(&swept, &err), -1);
    print_message("%s\n", err.message);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "rmdir"));
    assert_non_null(strstr(err.message, "rustbox-7/0/1/2/3/4/5/6/7"));
    for (char *last; (last = strrchr(deep, '/')); *last = '\0')
        for (size_t i = 0; i < COUNT_OF(trees); i++) {
            char path[256];
            path_of(path, trees[i], deep);
            assert_true(rmdir(path) == 0 || errno == ENOENT);
        }
    assert_ok(open_root(&swept, &err), err); /* what it asks for is enough */
    assert_false(there("rustbox-7"));
    cgroup_root_close(&root);
}

/* Somebody alive holds its lock. */
static void test_of_the_living(void **state)
{
    (void)state;
    struct err err;
    unsigned swept;
    char path[256];
    make("rustbox-0");
    make("rustbox-0/job-1");
    make("rustbox-0/job-1/a");
    path_of(path, trees[0], "rustbox-0");
    int lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(lock >= 0 && flock(lock, LOCK_EX) == 0);
    assert_ok(open_root(&swept, &err), err);
    assert_int_equal(root.instance, 1);
    assert_int_equal(swept, 0);
    assert_true(there("rustbox-0/job-1/a"));
    cgroup_root_close(&root);
    close(lock);
    assert_ok(open_root(&swept, &err), err);
    assert_false(there("rustbox-0/job-1"));
    cgroup_root_close(&root);
}

/* Its trees are groups of its own in the host's. */
static int start(void **state)
{
    (void)state;
    char path[256], group[128];
    if (!mkdtemp(base))
        return -1;
    for (size_t i = 0; i < COUNT_OF(trees); i++) {
        snprintf(group, sizeof group, "/sys/fs/cgroup/%s/sweep-%d", trees[i], (int)getpid());
        path_of(path, trees[i], "");
        path[strlen(path) - 1] = '\0';
        if ((mkdir(group, 0755) != 0 && errno != EEXIST) || symlink(group, path) != 0)
            return -1;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    char path[256], group[128];
    for (size_t i = 0; i < COUNT_OF(trees); i++) {
        snprintf(group, sizeof group, "/sys/fs/cgroup/%s/sweep-%d", trees[i], (int)getpid());
        path_of(path, trees[i], "");
        path[strlen(path) - 1] = '\0';
        unlink(path);
        rmdir(group);
    }
    return rmdir(base);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups_below_jobs),
                                              cmocka_unit_test(test_too_deep),
                                              cmocka_unit_test(test_of_the_living)};
    if (geteuid() != 0 || access("/sys/fs/cgroup/pids/tasks", F_OK) != 0) {
        print_message("skipped: needs root and control groups v1; tests/vm has v2\n");
        return 77;
    }
    return _cmocka_run_group_tests("cgroup_sweep", tests, COUNT_OF(tests), start, stop);
}
