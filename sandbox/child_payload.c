/* The payload: joins the groups, drops descriptors, limits, identity and capabilities, loads the
 * filter, reports, waits for the launcher's word, executes. The order is forced: groups and the
 * control group namespace need root, the filter comes last because nothing above is allowed under
 * it. Any failure ends the job before the program's first instruction. */
#include "sandbox/child_payload.h"
#include "sandbox/given.h"
#include "sandbox/landlock.h"
#include "sandbox/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_ARGV_MAX 160 /* of a toolchain's command, and 64 words and a few of a job's */
#define SYNC CHILD_SYNC

static void order_descriptors(const struct child_spec *spec)
{
    /* First above the four places, so that no dup3 below overwrites a source. */
    int from[4] = {spec->stdin_fd, spec->stdout_fd, spec->stderr_fd, spec->sync_fd};
    for (int i = 0; i < 4; i++) {
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, SYNC + 1);
        if (from[i] < 0)
            child_fail(spec->sync_fd, "order descriptors");
    }
    for (int i = 0; i < 4; i++)
        if (dup3(from[i], i, i == SYNC ? O_CLOEXEC : 0) < 0)
            child_fail(from[SYNC], "order descriptors");
    if (spec->layers & LAYER_FDS)
        for (int i = SYNC; i < 256; i++)
            fcntl(i, F_SETFD, 0);
    else if (close_range(SYNC + 1, ~0U, 0) != 0)
        child_fail(SYNC, "close descriptors");
}

static void set_limit(int resource, uint64_t value)
{
    struct rlimit limit = {value, value};
    if (setrlimit((__rlimit_resource_t)resource, &limit) != 0)
        child_fail(SYNC, "set a resource limit");
}

static void set_limits(const struct limits *limits)
{
    /* One second above the limit: the watchdog on the group's clock is the rule. */
    set_limit(RLIMIT_CPU, (limits->cpu_ms + 999) / 1000 + 1);
    set_limit(RLIMIT_FSIZE, limits->file_bytes);
    set_limit(RLIMIT_NOFILE, limits->open_files);
    set_limit(RLIMIT_NPROC, child_nproc(limits));
    set_limit(RLIMIT_STACK, limits->stack_bytes);
    /* 0 writes no file but still starts a helper of the host (a core_pattern that begins with |),
     * as root, on what the program left; 1 does neither. */
    set_limit(RLIMIT_CORE, 1);
    set_limit(RLIMIT_MEMLOCK, 0);
    set_limit(RLIMIT_MSGQUEUE, 0);
    set_limit(RLIMIT_NICE, 0);
    set_limit(RLIMIT_RTPRIO, 0);
}

static void drop_identity(const struct child_spec *spec)
{
    bool keep_caps = (spec->layers & LAYER_CAPS) != 0;
    /* The bounding set was empty before: the maker's is, and the template's. */
    if (keep_caps)
        prctl(PR_SET_KEEPCAPS, 1);
    if (setgroups(0, NULL) != 0)
        child_fail(SYNC, "drop groups");
    if (!(spec->layers & LAYER_UID) && (setresgid(spec->uid, spec->uid, spec->uid) != 0 ||
                                        setresuid(spec->uid, spec->uid, spec->uid) != 0))
        child_fail(SYNC, "change the user");
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    if (keep_caps) {
        syscall(SYS_capget, &head, none);
        none[0].effective = none[0].inheritable = none[0].permitted;
        none[1].effective = none[1].inheritable = none[1].permitted;
        syscall(SYS_capset, &head, none);
        for (int cap = 0; cap < 64; cap++)
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    } else if (syscall(SYS_capset, &head, none) != 0) {
        child_fail(SYNC, "empty the capability sets");
    }
    if (!(spec->layers & LAYER_NNP) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        child_fail(SYNC, "set no_new_privs");
    prctl(PR_SET_DUMPABLE, 0);
}

/* Before the descriptors are closed and while a capability is there that shows it at work. */
static bool confine(const struct child_spec *spec)
{
    if (spec->landlock_abi == 0 || (spec->layers & LAYER_LANDLOCK))
        return false;
    if (landlock_confine(spec->landlock_abi, spec->stdin_fd) != 0)
        child_fail(spec->sync_fd, "confine by Landlock");
    return landlock_in_force();
}

static int load_filter(const struct child_spec *spec)
{
    if (spec->layers & LAYER_SECCOMP)
        return -1;
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                            &spec->filter->prog);
    if (listener < 0)
        child_fail(SYNC, "load the system call filter");
    return (int)listener;
}

static _Noreturn void no_exec(void)
{
    struct child_message message = {.kind = CHILD_NO_EXEC, .error = errno};
    if (write(SYNC, &message, sizeof message) < 0)
        _exit(126);
    _exit(127);
}

/* The launcher's word, then what the command gets of the job: texts that end in NUL. */
static char said[1 + GIVEN_WORDS_MAX];
static size_t said_len;
static const char *argv[CHILD_ARGV_MAX + 1];

static size_t add_said(size_t count)
{
    for (size_t at = 1; at < said_len; at += strlen(said + at) + 1) {
        if (count == CHILD_ARGV_MAX)
            child_fail(SYNC, "fit the words of a command");
        argv[count++] = said + at;
    }
    return count;
}

/* A compile's words come behind the source, a run's are the program's arguments. */
static void build_argv(const struct child_spec *spec, const char *const *step, bool last)
{
    size_t count = 0;
    for (; *step; step++) {
        argv[count++] = *step;
        if (spec->compile && strncmp(*step, "/box/", 5) == 0 &&
            strcmp(*step + 5, spec->source) == 0)
            count = add_said(count);
    }
    if (!spec->compile && last)
        count = add_said(count);
    argv[count] = NULL;
}

/* The last step replaces the payload; steps before it run as children of it. */
static void run_steps(const struct child_spec *spec)
{
    const struct toolchain_phase *commands = spec->commands;
    char *const *env = spec->layers & LAYER_ENV ? environ : (char *const *)(uintptr_t)commands->env;
    for (size_t i = 0; commands->steps[i]; i++) {
        bool last = !commands->steps[i + 1];
        build_argv(spec, commands->steps[i], last);
        pid_t pid = last ? 0 : fork();
        if (pid < 0)
            child_fail(SYNC, "start a step"); /* the limits allow it: the host's fault */
        if (pid == 0) {
            execve(argv[0], (char *const *)(uintptr_t)argv, env);
            no_exec();
        }
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (WIFSIGNALED(status))
            kill(getpid(), WTERMSIG(status));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
}

/* A sandbox made ahead has its language's limits, and its job may have lower ones: these need no
 * right that was given up. */
static bool tighten(const struct child_spec *spec)
{
    struct child_message message = {.kind = CHILD_TIGHTENED};
    struct limits limits;
    if (said_len != 1 + sizeof limits)
        return false;
    memcpy(&limits, said + 1, sizeof limits);
    if (!(spec->layers & LAYER_RLIMITS))
        set_limits(&limits);
    return write(SYNC, &message, sizeof message) == (ssize_t)sizeof message;
}

/* Until the launcher says so; false: it is gone. */
static bool wait_for_go(const struct child_spec *spec)
{
    do {
        ssize_t got = read(SYNC, said, sizeof said);
        said_len = got > 0 ? (size_t)got : 0;
    } while (said_len > 0 && said[0] == CHILD_TIGHTEN && tighten(spec));
    return said_len > 0 && said[0] == CHILD_GO && (said_len == 1 || said[said_len - 1] == '\0');
}

void child_confine(const struct child_spec *spec, struct child_message *message)
{
    int64_t *at = spec->at;
    struct sigaction usual = {.sa_handler = SIG_DFL};
    at[STEP_payload] = child_now_ns();
    sigaction(SIGUSR1, &usual, NULL);
    if (setsid() < 0)
        child_fail(spec->sync_fd, "start a session");
    if (cgroup_join(spec->group) != 0)
        child_fail(spec->sync_fd, "join the control groups");
    if (!(spec->layers & LAYER_CGROUP) && unshare(CLONE_NEWCGROUP) != 0)
        child_fail(spec->sync_fd, "unshare the control group namespace");
    at[STEP_joined] = child_now_ns();
    *message = (struct child_message){.kind = CHILD_LOADED};
    message->landlock = confine(spec);
    at[STEP_confined] = child_now_ns();
    order_descriptors(spec);
    if (chdir("/tmp") != 0)
        child_fail(SYNC, "enter /tmp");
    if (!(spec->layers & LAYER_RLIMITS))
        set_limits(&spec->limits);
    at[STEP_limited] = child_now_ns();
    drop_identity(spec);
    at[STEP_dropped] = child_now_ns();
    message->listener = load_filter(spec);
    at[STEP_loaded] = child_now_ns();
}

void child_say_loaded(const struct child_message *message)
{
    if (write(SYNC, message, sizeof *message) != (ssize_t)sizeof *message)
        _exit(123); /* the launcher is gone */
}

void child_await_go(const struct child_spec *spec)
{
    if (!wait_for_go(spec))
        _exit(123);
}

/* The init was made before these were. Nothing that the launcher said: it is gone. */
static void take_outfit(struct child_spec *spec, struct cgroup *group)
{
    int fds[CHILD_OUTFIT_FDS];
    size_t count = CHILD_OUTFIT_FDS;
    char word = 0;
    struct iovec part = {&word, 1};
    if (pass_receive(spec->sync_fd, &part, 1, fds, &count) != 1 || word != CHILD_OUTFIT ||
        count < CHILD_OUTFIT_GROUPS)
        _exit(123);
    spec->stdin_fd = fds[0];
    spec->stdout_fd = fds[1];
    spec->stderr_fd = fds[2];
    *group = (struct cgroup){CGROUP_NONE};
    for (size_t i = CHILD_OUTFIT_GROUPS; i < count; i++)
        group->join[i - CHILD_OUTFIT_GROUPS] = fds[i];
    spec->group = group;
}

_Noreturn void child_payload(const struct child_spec *order)
{
    struct child_message message;
    struct child_spec spec = *order; /* it may be the init's memory */
    struct cgroup group;
    take_outfit(&spec, &group);
    child_confine(&spec, &message);
    memcpy(message.at, spec.at, sizeof message.at);
    child_say_loaded(&message);
    child_await_go(&spec);
    run_steps(&spec);
    _exit(0);
}
