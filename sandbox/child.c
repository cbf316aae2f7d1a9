/* The init of a job's pid namespace: mounts, then waiting.
 *
 * It is a copy of the launcher without exec: it keeps no descriptor but the pair, all its
 * capabilities but CAP_KILL are given up, it is not dumpable and hidden from the job (hidepid).
 * SIGUSR1 from the launcher kills the whole job at once; the death of the launcher kills the init
 * and with it the namespace. It never reads anything the job can write. */
#include "sandbox/child.h"
#include "lib/base/strict.h"
#include "sandbox/child_payload.h"
#include "sandbox/stay.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_STACK (64 * 1024)
#define INODES_MIN 2048
#define BYTES_PER_INODE 16384

_Noreturn void child_fail(int sync_fd, const char *where)
{
    struct child_message message = {.kind = CHILD_FAILED, .error = errno};
    snprintf(message.where, sizeof message.where, "%s", where);
    if (write(sync_fd, &message, sizeof message) < 0)
        _exit(126);
    _exit(125);
}

/* The call itself: the vDSO's way is two page faults in each copy of the maker, and a sandbox asks
 * nine times, which costs less. */
int64_t child_now_ns(void)
{
    struct timespec now = {0};
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void kill_all(int signal)
{
    (void)signal;
    int saved = errno;
    if (getpid() == 1) /* then -1 is everything in this namespace but the init */
        kill(-1, SIGKILL);
    errno = saved;
}

/* Handlers were cleared by the clone; what the launcher ignores is ignored until here. */
static void reset_signals(void)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(SIGPIPE, &usual, NULL);
    sigaction(SIGXFSZ, &usual, NULL);
    struct sigaction kill_job = {.sa_handler = kill_all, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &kill_job, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void insert(int *sorted, size_t *count, int fd)
{
    size_t i = *count;
    if (fd < 0)
        return;
    for (; i > 0 && sorted[i - 1] > fd; i--)
        sorted[i] = sorted[i - 1];
    sorted[i] = fd;
    ++*count;
}

/* Closes all that the launcher has for others, once: the payload gets a copy of what is left. */
static void keep_descriptors(const struct child_spec *spec)
{
    const int own[] = {spec->sync_fd, spec->tmp_mount, spec->shm_mount, spec->root_ns,
                       spec->last_pid};
    int sorted[COUNT_OF(own)];
    size_t count = 0;
    unsigned from = 0;
    if (spec->layers & LAYER_FDS)
        return;
    for (size_t i = 0; i < COUNT_OF(own); i++)
        insert(sorted, &count, own[i]);
    for (size_t i = 0; i < count; from = (unsigned)sorted[i++] + 1)
        if (from < (unsigned)sorted[i] && close_range(from, (unsigned)sorted[i] - 1, 0) != 0)
            child_fail(spec->sync_fd, "close the launcher's descriptors");
    if (close_range(from, ~0U, 0) != 0)
        child_fail(spec->sync_fd, "close the launcher's descriptors");
}

static void mount_tmpfs(const struct child_spec *spec, const char *path, int instead,
                        uint64_t files, bool exec)
{
    /* The kernel copies a page from here on, and faults where the stack ends. */
    static char options[96];
    bool unbounded = (spec->layers & LAYER_TMP) != 0;
    uint64_t bytes = unbounded ? UINT64_C(1) << 30 : spec->limits.tmp_bytes;
    uint64_t inodes = unbounded ? bytes / BYTES_PER_INODE : files > INODES_MIN ? files : INODES_MIN;
    snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=1777",
             (unsigned long long)bytes, (unsigned long long)inodes);
    unsigned long flags = MS_NOSUID | MS_NODEV | (exec ? 0 : MS_NOEXEC);
    if (instead < 0 ? mount("tmpfs", path, "tmpfs", flags, options) != 0
                    : move_mount(instead, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        child_fail(spec->sync_fd, path);
}

void child_blank(int sync_fd, uint32_t layers)
{
    const bool uts = !(layers & LAYER_UTS);
    int flags = (uts ? CLONE_NEWUTS : 0) | (layers & LAYER_IPC ? 0 : CLONE_NEWIPC) |
                (layers & LAYER_NETWORK ? 0 : CLONE_NEWNET);
    if (unshare(flags) != 0)
        child_fail(sync_fd, "make namespaces");
    if (uts && (sethostname("rustbox-sandbox", 15) != 0 || setdomainname("(none)", 6) != 0))
        child_fail(sync_fd, "name the sandbox");
}

void child_mount_fresh(const struct child_spec *spec)
{
    mount_tmpfs(spec, "tmp", spec->tmp_mount, spec->limits.tmp_bytes / BYTES_PER_INODE,
                spec->layers & LAYER_NOEXEC);
    mount_tmpfs(spec, "dev/shm", spec->shm_mount, 0, false);
}

static void build_root(const struct child_spec *spec)
{
    int sync = spec->sync_fd;
    int host_root = -1;
    if (spec->layers & LAYER_VIEW)
        host_root = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    /* A copy of the template, a handful of mounts, instead of a copy of all that the host has. */
    if (setns(spec->root_ns, CLONE_NEWNS) != 0 || unshare(CLONE_NEWNS) != 0)
        child_fail(sync, "enter the root");
    child_mount_fresh(spec);
    const char *options = spec->layers & LAYER_HIDEPID ? "" : "hidepid=2,subset=pid";
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0)
        child_fail(sync, "mount /proc");
    if (spec->layers & LAYER_READONLY) {
        struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
        mount(NULL, ".", NULL, MS_REMOUNT, NULL);
        mount_setattr(AT_FDCWD, ".", AT_RECURSIVE, &writable, sizeof writable);
    }
    if (host_root >= 0 && move_mount(host_root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0)
        child_fail(sync, "keep the host's root");
}

/* Gives up what the init needs no more, or no more until the next run, once the payload is on its
 * way. */
static void retire(const struct child_spec *spec)
{
    bool stays = spec->last_pid >= 0;
    if (dup2(spec->sync_fd, STAY_SYNC) != STAY_SYNC ||
        (stays && dup2(spec->last_pid, STAY_LAST_PID) != STAY_LAST_PID) ||
        close_range(stays ? STAY_LAST_PID + 1 : STAY_LAST_PID, ~0U, 0) != 0 ||
        stay_capabilities(CAPS_BIT(KILL), stays ? CAPS_STAY : CAPS_BIT(KILL)) != 0)
        child_fail(STAY_SYNC, "retire the init");
}

static int payload_main(void *spec)
{
    child_payload(spec);
}

/* In the init's memory until it executes: a copy of it costs a fifth of the whole set-up. The
 * launcher's memory it must never share, because the kernel, when it kills a process for its
 * group's memory, kills whoever shares that process's memory too. Several steps are waited for by
 * the payload, which therefore gets memory of its own while they run. */
static pid_t start_payload(const struct child_spec *spec)
{
    static char stack[PAYLOAD_STACK] __attribute__((aligned(64)));
    int flags = spec->commands->steps[1] ? SIGCHLD : CLONE_VM | SIGCHLD;
    return clone(payload_main, stack + sizeof stack, flags, (void *)(uintptr_t)spec);
}

static void on_child(int signal)
{
    (void)signal;
}

/* A fork of the template is nobody's child here until its maker, which has another number, is gone;
 * it has the number that a program has that the init starts. */
#define PROGRAM_OF_TEMPLATE 2

static pid_t wait_for_adopted(int *status, struct rusage *usage)
{
    sigset_t child, usual;
    struct sigaction action = {.sa_handler = on_child};
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &usual);
    sigaction(SIGCHLD, &action, NULL);
    pid_t pid;
    while ((pid = wait4(-1, status, WNOHANG, usage)) != PROGRAM_OF_TEMPLATE)
        if (pid <= 0)
            sigsuspend(&usual);
    sigprocmask(SIG_SETMASK, &usual, NULL);
    return pid;
}

static void count_memory(struct child_message *message, const struct rusage *usage)
{
    uint64_t bytes = (uint64_t)usage->ru_maxrss * 1024;
    if (bytes > message->rss_max_bytes)
        message->rss_max_bytes = bytes;
}

static struct child_message wait_for(const struct child_spec *spec, pid_t program)
{
    struct child_message message = {.kind = CHILD_ENDED};
    struct rusage usage = {0};
    int status;
    pid_t pid;
    do {
        pid = spec->template ? wait_for_adopted(&status, &usage) : wait4(-1, &status, 0, &usage);
        count_memory(&message, &usage);
    } while (pid != program && !(pid < 0 && errno == ECHILD));
    message.ended_ns = child_now_ns();
    message.status = status;
    while ((pid = wait4(-1, NULL, WNOHANG, &usage)) > 0) {
        message.zombies++;
        count_memory(&message, &usage);
    }
    message.alone = message.zombies == 0 && pid < 0 && errno == ECHILD;
    if (spec->layers & LAYER_RENEW) {
        message.alone = true;
        return message;
    }
    /* Nothing outlives the program: children of killed children come to the init in turn. Without a
     * child there is nobody, and a kill would look at every process of the host. */
    while (pid >= 0 || errno != ECHILD) {
        kill_all(0);
        pid = wait4(-1, NULL, 0, &usage);
        count_memory(&message, &usage);
    }
    /* Also where this sandbox will not stay: the next run has the same files at /box, and would see
     * a lock on them. */
    if (spec->last_pid >= 0 && !(spec->layers & LAYER_NETWORK))
        message.alone = stay_nothing_in_flight() && message.alone;
    return message;
}

/* One run in a sandbox that is ready for it; whether there was nobody in it but the program. */
static bool run(const struct child_spec *spec)
{
    pid_t program = spec->template ? PROGRAM_OF_TEMPLATE : start_payload(spec);
    if (program < 0)
        child_fail(spec->sync_fd, "start the payload");
    retire(spec);
    struct child_message root = {.kind = CHILD_ROOT};
    memcpy(root.at, spec->at, sizeof root.at);
    if (spec->template && write(STAY_SYNC, &root, sizeof root) != (ssize_t)sizeof root)
        _exit(126);
    struct child_message message = wait_for(spec, program);
    if (write(STAY_SYNC, &message, sizeof message) != (ssize_t)sizeof message)
        _exit(126);
    return message.alone;
}

_Noreturn void child_init(const struct child_spec *spec)
{
    prctl(PR_SET_NAME, "init");
    if (getpid() != 1 && !(spec->layers & LAYER_PID))
        child_fail(spec->sync_fd, "make a pid namespace");
    spec->at[STEP_init] = child_now_ns();
    keep_descriptors(spec);
    reset_signals();
    umask(022);
    build_root(spec);
    spec->at[STEP_root] = child_now_ns();
    struct child_spec own = *spec;
    while (run(&own) && own.last_pid >= 0)
        stay_for_next(&own);
    _exit(0);
}
