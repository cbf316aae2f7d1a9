/* A host that is short of something: a full disk, no free inode, no process, no descriptor, a
 * controller that is missing, a group that cannot be made, no user id. A launcher that starts there
 * refuses, naming the cause (or works: a full disk is none of its concern); one that runs already
 * reports IE with the cause, runs the next job when the shortage is over, and leaves nothing
 * behind.
 *
 * Disks are tmpfs in a mount namespace of a child's own; groups are made for this test alone. */
#include "lib/base/cleanup.h"
#include "sandbox/host.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIDS "/sys/fs/cgroup/pids"

static struct box_fixture fixture;
static char group[96]; /* of this test, in the tree of pids */

static bool write_to(const char *dir, const char *file, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool move_to_group(const char *dir, pid_t pid)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)pid);
    return write_to(dir, "cgroup.procs", text);
}

/* ---- starts ---- */

/* In a child: a mount of its own over the launcher's directory. */
static bool small_disk(const char *options, bool fill)
{
    char path[160];
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("small", fixture.dir, "tmpfs", 0, options) != 0)
        return false;
    snprintf(path, sizeof path, "%s/filler", fixture.dir);
    int file = fill ? open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;
    static const char page[4096];
    while (file >= 0 && write(file, page, sizeof page) > 0)
        ;
    return true;
}

static bool full_disk(void)
{
    return small_disk("size=8k", true);
}

static bool no_inode(void)
{
    return small_disk("size=1m,nr_inodes=1", false);
}

static bool read_only_disk(void)
{
    return small_disk("size=1m,ro", false);
}

static bool no_pids_controller(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", PIDS, "tmpfs", 0, "size=4k") == 0;
}

/* The launcher, and one more for the child that watches it. */
static bool no_process(void)
{
    /* A JVM that cannot start a thread writes a file where it is. */
    return small_disk("size=4m", false) && chdir(fixture.dir) == 0 &&
           write_to(group, "pids.max", "3") && move_to_group(group, getpid());
}

/* Parent groups that nobody owns: a start that failed must not leave one. */
static unsigned unowned_groups(void)
{
    unsigned count = 0;
    DIR *list = opendir("/sys/fs/cgroup/memory");
    for (struct dirent *entry; list && (entry = readdir(list));) {
        char path[300];
        if (strncmp(entry->d_name, "rustbox-", strlen("rustbox-")) != 0)
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup/memory/%s", entry->d_name);
        AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        count += dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0;
    }
    if (list)
        closedir(list);
    return count;
}

struct start {
    const char *name;
    bool (*spoil)(void);
    int status;
    const char *words[2]; /* in what the refusal says: the cause, and what or the remedy */
};

static const struct start starts[] = {
    /* Its directory is a place to mount on: nothing is ever written to that disk. */
    {"full_disk", full_disk, 0, {"", ""}},
    {"no_inode", no_inode, 1, {"the state directory", "No space left"}},
    {"read_only_disk", read_only_disk, 1, {"the state directory", "Read-only"}},
    {"no_pids_controller", no_pids_controller, 1, {"pids", "mount that controller"}},
    {"no_process", no_process, 1, {"Resource temporarily unavailable", "raise pids.max"}},
};

static void test_start(void **state)
{
    const struct start *row = *state;
    char text[4096] = "";
    unsigned before = unowned_groups();
    if (access(PIDS "/tasks", F_OK) != 0)
        return print_message("skipped: control groups v2; tests/vm has these starts\n");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!row->spoil())
            _exit(99);
        int status = box_fixture_check(&fixture, NULL, text, sizeof text);
        bool said = strstr(text, row->words[0]) && strstr(text, row->words[1]);
        if (status != row->status || !said)
            dprintf(2, "%s: exit %d: %s\n", row->name, status, text);
        _exit(status == row->status && said ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    unsigned after = unowned_groups();
    for (int i = 0; i < 50 && after > before; i++) { /* others' launchers may be ending */
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        after = unowned_groups();
    }
    assert_true(after <= before);
}

/* ---- jobs ---- */

/* A job now is IE, and its evidence says why. */
static void expect_ie(const char *first, const char *second)
{
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, "print('x')\n");
    job.high_assurance = true; /* no fork of a template that was made before */
    box_fixture_run(&fixture, &job, &report);
    struct decision decision = verdict_decide(&report.evidence, TAXONOMY_STANDARD);
    char why[256];
    snprintf(why, sizeof why, "%s", report.evidence.setup_error);
    bool ran = report.evidence.run.ran;
    box_report_done(&report);
    print_message("%s: %s\n", cause_name(decision.cause), why);
    assert_int_equal(decision.cause, CAUSE_ie_setup_failure);
    assert_false(ran);
    if (!strstr(why, first) || !strstr(why, second))
        fail_msg("wanted \"%s\" and \"%s\"", first, second);
}

/* A clone that failed leaves the number of a descriptor that is none: it must not be used, for the
 * next to be opened has that number. */
static bool log_holds(const char *text)
{
    char line[1024];
    bool found = false;
    FILE *file = fopen(fixture.log, "re");
    while (file && fgets(line, sizeof line, file))
        found |= strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return found;
}

static void test_no_process_for_a_job(void **state)
{
    (void)state;
    if (access(PIDS "/tasks", F_OK) != 0)
        return print_message("skipped: control groups v2\n");
    box_fixture_fine(&fixture);
    struct box_leftovers before = box_fixture_settled(&fixture);
    /* The process that clones is a child of the launcher. */
    pid_t maker = box_fixture_maker(&fixture);
    assert_true(maker > 0 && write_to(group, "pids.max", "1") && move_to_group(group, maker));
    for (int i = 0; i < MAKER_BLANKS; i++) /* cloned before */
        box_fixture_fine(&fixture);
    expect_ie("raise pids.max", "Resource temporarily unavailable");
    expect_ie("raise pids.max", "Resource temporarily unavailable");
    assert_true(move_to_group(PIDS, maker));
    assert_false(log_holds("Bad file descriptor"));
    box_fixture_fine(&fixture);
    box_fixture_nothing_left(&fixture, &before);
}

static void test_no_descriptor_for_a_job(void **state)
{
    (void)state;
    struct rlimit usual, few;
    box_fixture_fine(&fixture);
    struct box_leftovers before = box_fixture_settled(&fixture);
    assert_int_equal(prlimit(fixture.pid, RLIMIT_NOFILE, NULL, &usual), 0);
    /* From too few to finish down to hardly more than what the message itself carries. */
    unsigned failed = 0;
    for (unsigned more = 20; more >= 4; more -= 2) {
        struct box_report report;
        struct box_job job = box_fixture_job(LANGUAGE_python, "print('x')\n");
        job.high_assurance = true;
        few = (struct rlimit){before.descriptors + more, usual.rlim_max};
        assert_int_equal(prlimit(fixture.pid, RLIMIT_NOFILE, &few, NULL), 0);
        box_fixture_run(&fixture, &job, &report);
        assert_int_equal(prlimit(fixture.pid, RLIMIT_NOFILE, &usual, NULL), 0);
        const struct evidence *ev = &report.evidence;
        struct decision decision = verdict_decide(ev, TAXONOMY_STANDARD);
        if (decision.verdict == VERDICT_IE) {
            failed++;
            if (!strstr(ev->setup_error, "Too many open files") &&
                !strstr(ev->collection_errors[0], "Too many open files"))
                fail_msg("%u more: %s; %s", more, ev->setup_error, ev->collection_errors[0]);
        } else {
            assert_int_equal(decision.cause, CAUSE_normal_exit);
        }
        box_report_done(&report);
    }
    assert_true(failed > 0);
    box_fixture_fine(&fixture);
    box_fixture_nothing_left(&fixture, &before);
}

/* The second of a job's groups cannot be made: the first goes again. */
static void test_no_group_for_a_job(void **state)
{
    (void)state;
    char path[128];
    if (access(PIDS "/tasks", F_OK) != 0)
        return print_message("skipped: control groups v2\n");
    box_fixture_fine(&fixture);
    struct box_leftovers before = box_fixture_settled(&fixture);
    unsigned instance = box_fixture_instance(&fixture), made = 0;
    for (unsigned i = 1; i < 200; i++) {
        snprintf(path, sizeof path, PIDS "/rustbox-%u/job-%u", instance, i);
        made += mkdir(path, 0755) == 0;
    }
    assert_true(made > 100);
    for (int i = 0; i < CGROUP_AHEAD; i++) /* made before */
        box_fixture_fine(&fixture);
    expect_ie("make a control group for a job", "File exists");
    for (unsigned i = 1; i < 200; i++) {
        snprintf(path, sizeof path, PIDS "/rustbox-%u/job-%u", instance, i);
        rmdir(path);
    }
    box_fixture_fine(&fixture);
    box_fixture_nothing_left(&fixture, &before);
}

/* Every user id is in use: none is given out twice, and 0, root's, never. */
static void test_no_user(void **state)
{
    (void)state;
    static struct host host;
    uid_t first = host_uid_get(&host), last = first;
    for (unsigned i = 1; i < HOST_UIDS; i++)
        last = host_uid_get(&host);
    assert_true(first >= HOST_UID_FIRST && last == first + HOST_UIDS - 1);
    assert_int_equal(host_uid_get(&host), 0);
    host_uid_put(&host, first + 7);
    assert_int_equal(host_uid_get(&host), first + 7);
    assert_int_equal(host_uid_get(&host), 0);
}

static int start(void **state)
{
    (void)state;
    box_fixture_start(&fixture, (const char *const[]){"--slots", "1", NULL});
    snprintf(group, sizeof group, PIDS "/rustbox-test-%d", (int)getpid());
    return access(PIDS "/tasks", F_OK) != 0 || mkdir(group, 0755) == 0 ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    box_fixture_stop(&fixture);
    for (int i = 0; i < 100 && rmdir(group) != 0 && errno == EBUSY; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return access(group, F_OK) != 0 ? 0 : -1;
}

/* Its first files would get the numbers of its standard descriptors, and its log go into one. */
static void test_started_without_stdin(void **state)
{
    (void)state;
    struct box_fixture usual = fixture;
    char path[64], found[64] = "";
    int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    close(STDIN_FILENO);
    box_fixture_start(&fixture, NULL);
    snprintf(path, sizeof path, "/proc/%d/fd/0", (int)fixture.pid);
    ssize_t len = readlink(path, found, sizeof found - 1);
    box_fixture_fine(&fixture);
    box_fixture_stop(&fixture);
    fixture = usual;
    if (kept >= 0)
        dup2(kept, STDIN_FILENO);
    close(kept);
    assert_true(len > 0);
    assert_string_equal(found, "/dev/null");
}

static const struct CMUnitTest others[] = {
    cmocka_unit_test(test_no_process_for_a_job), cmocka_unit_test(test_no_descriptor_for_a_job),
    cmocka_unit_test(test_no_group_for_a_job), cmocka_unit_test(test_no_user),
    cmocka_unit_test(test_started_without_stdin)};

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(others) + COUNT_OF(starts)];
    memcpy(tests, others, sizeof others);
    for (size_t i = 0; i < COUNT_OF(starts); i++)
        tests[COUNT_OF(others) + i] =
            (struct CMUnitTest){.name = starts[i].name,
                                .test_func = test_start,
                                .initial_state = (void *)(uintptr_t)&starts[i]};
    return _cmocka_run_group_tests("box_host", tests, COUNT_OF(tests), start, stop);
}
