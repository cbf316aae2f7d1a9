/* Starting, asking and stopping a private launcher. */
#include "tests/support/box_fixture.h"
#include "sandbox/cgroup.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 32

static pid_t running, owner; /* a launcher that runs when the test program ends: a test failed */

static void kill_left(void)
{
    if (running > 0 && getpid() == owner)
        kill(running, SIGTERM);
}

static void spawn_launcher(struct box_fixture *fixture, const char *const *extra)
{
    static char program[] = RUSTBOX_BIN_DIR "/rustbox-box";
    const char *argv[ARGS_MAX] = {program, "--socket", fixture->socket, "--state-dir",
                                  fixture->state};
    size_t argc = 5;
    for (; extra && *extra; extra++) {
        assert_true(argc + 1 < ARGS_MAX);
        argv[argc++] = *extra;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    /* Not the test's own: whoever reads that would wait for a launcher that was left behind. */
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, fixture->log, O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    int result = posix_spawn(&fixture->pid, program, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0)
        fail_msg("spawn %s: %s", program, strerror(result));
    if (owner == 0)
        atexit(kill_left);
    owner = getpid();
    running = fixture->pid;
}

static void print_log(const struct box_fixture *fixture)
{
    FILE *file = fopen(fixture->log, "re");
    char line[1024];
    while (file && fgets(line, sizeof line, file))
        print_error("%s", line);
    if (file)
        fclose(file);
}

static void connect_launcher(struct box_fixture *fixture)
{
    struct err err;
    /* The socket listens before the launcher is ready; the greeting waits for that. */
    for (int i = 0; i < 400; i++) {
        if (box_open(fixture->socket, 20000, &fixture->box, &fixture->info, &err) == 0)
            return;
        if (waitpid(fixture->pid, NULL, WNOHANG) == fixture->pid)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    print_log(fixture);
    fail_msg("no launcher: %s", err.message);
}

void box_fixture_start(struct box_fixture *fixture, const char *const *extra)
{
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: the launcher makes namespaces and mounts, run as root\n");
        _exit(77);
    }
    memset(fixture, 0, sizeof *fixture);
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/box-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    snprintf(fixture->socket, sizeof fixture->socket, "%s/s", fixture->dir);
    snprintf(fixture->state, sizeof fixture->state, "%s/state", fixture->dir);
    snprintf(fixture->log, sizeof fixture->log, "%s/log", fixture->dir);
    box_fixture_restart(fixture, extra);
}

void box_fixture_restart(struct box_fixture *fixture, const char *const *extra)
{
    spawn_launcher(fixture, extra);
    connect_launcher(fixture);
}

int box_fixture_check(const struct box_fixture *fixture, const char *const *extra, char *text,
                      size_t size)
{
    static char program[] = RUSTBOX_BIN_DIR "/rustbox-box";
    const char *argv[ARGS_MAX] = {program, "--check", "--state-dir", fixture->state};
    for (size_t argc = 4; extra && *extra; extra++) {
        assert_true(argc + 1 < ARGS_MAX);
        argv[argc++] = *extra;
    }
    int pipes[2], status = 0;
    pid_t pid = -1;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    size_t used = 0;
    for (ssize_t n; (n = read(pipes[0], text + used, size - 1 - used)) > 0;)
        used += (size_t)n;
    text[used] = '\0';
    close(pipes[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void box_fixture_stop(struct box_fixture *fixture)
{
    box_close(fixture->box);
    fixture->box = NULL;
    if (fixture->pid > 0) {
        int status = 0;
        kill(fixture->pid, SIGTERM);
        waitpid(fixture->pid, &status, 0);
        running = running == fixture->pid ? 0 : running;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            print_log(fixture);
    }
    fixture->pid = 0;
    unlink(fixture->socket);
    unlink(fixture->log);
    rmdir(fixture->state);
    rmdir(fixture->dir);
}

static struct box_fixture *around;
static const char *const *around_extra;

static int start_around(void **state)
{
    (void)state;
    box_fixture_start(around, around_extra);
    return 0;
}

static int stop_around(void **state)
{
    (void)state;
    box_fixture_stop(around);
    return 0;
}

int box_fixture_group(struct box_fixture *fixture, const char *const *extra, const char *name,
                      const struct CMUnitTest *tests, size_t count)
{
    around = fixture;
    around_extra = extra;
    return _cmocka_run_group_tests(name, tests, count, start_around, stop_around);
}

struct box_job box_fixture_job(enum language language, const char *code)
{
    struct rnd rnd = rnd_system();
    return (struct box_job){.id = uuid_v7(&clock_system, &rnd),
                            .language = language,
                            .profile = PROFILE_JUDGE,
                            .run = limits_run(language, PROFILE_JUDGE),
                            .compile = limits_compile(language),
                            .code = span_text(code)};
}

void box_fixture_next(struct box_fixture *fixture, struct box_report *report)
{
    struct err err;
    for (;;) {
        struct pollfd poller = {.fd = box_fd(fixture->box), .events = POLLIN};
        if (poll(&poller, 1, 60000) == 0) {
            print_log(fixture);
            fail_msg("no report within 60 s");
        }
        int got = box_next(fixture->box, report, &err);
        if (got < 0) {
            print_log(fixture);
            fail_msg("no report: %s", err.message);
        }
        if (got == 1)
            return;
    }
}

void box_fixture_run(struct box_fixture *fixture, const struct box_job *job,
                     struct box_report *report)
{
    struct err err;
    assert_ok(box_submit(fixture->box, job, &err), err);
    box_fixture_next(fixture, report);
    assert_true(uuid_eq(&report->id, &job->id));
}

void box_fixture_fine(struct box_fixture *fixture)
{
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, "print('x')\n");
    box_fixture_run(fixture, &job, &report);
    const struct evidence *ev = &report.evidence;
    if (!ev->run.exited || ev->run.exit_code != 0 || !span_is(report.out, "x\n"))
        fail_msg("not fine: %s; %s", ev->setup_error, ev->collection_errors[0]);
    box_report_done(&report);
}

static unsigned count_entries(const char *path, bool directories_only)
{
    DIR *list = opendir(path);
    unsigned count = 0;
    for (struct dirent *entry; list && (entry = readdir(list));)
        count += entry->d_name[0] != '.' && (!directories_only || entry->d_type == DT_DIR);
    if (list)
        closedir(list);
    return count;
}

unsigned box_fixture_groups(unsigned instance)
{
    static const char *const trees[] = {"memory", "pids", "cpuacct", "cpu"};
    unsigned count = 0;
    for (size_t i = 0; i < COUNT_OF(trees); i++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s/rustbox-%u", trees[i], instance);
        count += count_entries(path, true);
    }
    return count;
}

unsigned box_fixture_instance(const struct box_fixture *fixture)
{
    FILE *file = fopen(fixture->log, "re");
    char line[1024];
    unsigned instance = UINT32_MAX;
    while (file && fgets(line, sizeof line, file)) {
        const char *at = strstr(line, " instance=");
        if (at)
            instance = (unsigned)strtoul(at + 10, NULL, 10);
    }
    if (file)
        fclose(file);
    return instance;
}

static bool is_called(const char *pid, const char *wanted)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
    FILE *file = fopen(path, "re");
    bool same = file && fgets(name, sizeof name, file) && strcmp(name, wanted) == 0;
    if (file)
        fclose(file);
    return same;
}

pid_t box_fixture_maker(const struct box_fixture *fixture)
{
    pid_t found = 0;
    DIR *list = opendir("/proc");
    for (struct dirent *entry; list && !found && (entry = readdir(list));) {
        char path[300];
        int parent = 0;
        if (!is_called(entry->d_name, "maker\n"))
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%*d (%*[^)]) %*c %d", &parent) == 1 && parent == fixture->pid)
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        if (file)
            fclose(file);
    }
    if (list)
        closedir(list);
    return found;
}

struct box_leftovers box_fixture_leftovers(const struct box_fixture *fixture)
{
    /* Those made ahead are no leftovers; there may be fewer while one is lacking. */
    const unsigned ahead = 3 * CGROUP_AHEAD,
                   all = box_fixture_groups(box_fixture_instance(fixture));
    struct box_leftovers left = {.groups = all > ahead ? all - ahead : 0};
    char path[128], line[4096];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)fixture->pid);
    left.descriptors = count_entries(path, false);
    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)fixture->pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        left.mounts++;
    if (file)
        fclose(file);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)fixture->pid, (int)fixture->pid);
    file = fopen(path, "re");
    if (file && fgets(line, sizeof line, file))
        for (char *save = NULL, *pid = strtok_r(line, " ", &save); pid;
             pid = strtok_r(NULL, " ", &save))
            left.children +=
                *pid != '\n' && !is_called(pid, "maker\n") && !is_called(pid, "blank\n");
    if (file)
        fclose(file);
    return left;
}

struct box_leftovers box_fixture_settled(const struct box_fixture *fixture)
{
    struct box_leftovers now, last = box_fixture_leftovers(fixture);
    for (int tries = 0, same = 0; tries < 250 && same < 5; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        now = box_fixture_leftovers(fixture);
        bool quiet = now.groups == 0 && now.children == 0 && memcmp(&now, &last, sizeof now) == 0;
        same = quiet ? same + 1 : 0;
        last = now;
    }
    return last;
}

void box_fixture_nothing_left(const struct box_fixture *fixture, const struct box_leftovers *before)
{
    struct box_leftovers now = {0};
    for (int i = 0; i < 300; i++) {
        now = box_fixture_leftovers(fixture);
        if (now.groups == before->groups && now.mounts == before->mounts &&
            now.children <= before->children && now.descriptors <= before->descriptors)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    fail_msg("left: groups %u (%u), mounts %u (%u), children %u (%u), descriptors %u (%u)",
             now.groups, before->groups, now.mounts, before->mounts, now.children, before->children,
             now.descriptors, before->descriptors);
}
