/* The launcher's side of maker.h. The maker's answer is waited for: it comes after one clone, which
 * the launcher would be in itself otherwise. */
#include "sandbox/maker.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/caps.h"
#include "sandbox/maker_blob.h"
#include "sandbox/maker_wire.h"
#include "sandbox/mounts.h"
#include "sandbox/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_S 10 /* then it is killed and started anew */
#define PROGRAM_BYTES (8 << 20)

/* A file that nobody can reach by a name or write to. */
static int make_program(struct err *err)
{
    struct span bytes = maker_program();
    AUTO_FD int dir = mounts_tmpfs(PROGRAM_BYTES, 8, 0700, err);
    if (dir < 0)
        return -1;
    AUTO_FD int to = openat(dir, "maker", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    if (to < 0 || write(to, bytes.data, bytes.len) != (ssize_t)bytes.len)
        return err_sys(err, ERR_CONFIG, "write the maker's program");
    close(take_fd(&to));
    if (mounts_seal(dir, true, err) != 0)
        return -1;
    int program = openat(dir, "maker", O_PATH | O_CLOEXEC);
    return program >= 0 ? program : err_sys(err, ERR_CONFIG, "open the maker's program");
}

static _Noreturn void become_maker(const struct maker *maker, int pair)
{
    static const char *const argv[] = {"rustbox-box-maker", NULL}, *const empty[] = {NULL};
    char *const *env = maker->layers_off & LAYER_ENV ? environ : (char *const *)(uintptr_t)empty;
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    setsid(); /* a terminal's signals are the launcher's matter */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGPIPE, &usual, NULL);
    sigaction(SIGXFSZ, &usual, NULL);
    int program = fcntl(maker->program, F_DUPFD_CLOEXEC, MAKER_SOCKET + 1);
    /* It may have that number already: then dup2 leaves its close-on-exec as it is. */
    if (program >= 0 && dup2(pair, MAKER_SOCKET) == MAKER_SOCKET &&
        fcntl(MAKER_SOCKET, F_SETFD, 0) == 0 &&
        close_range(MAKER_SOCKET + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
        (maker->layers_off & LAYER_CAPS || caps_only_over_exec(CAPS_SANDBOX) == 0))
        execveat(program, "", (char *const *)(uintptr_t)argv, env, AT_EMPTY_PATH);
    _exit(127);
}

static const char *why(int error)
{
    return error == EAGAIN ? " (at a limit of processes: raise pids.max of the launcher's group, "
                             "systemd TasksMax)"
                           : "";
}

static void end(struct maker *maker)
{
    if (maker->pid == 0)
        return;
    cleanup_fd(&maker->fd);
    maker->fd = -1;
    kill(maker->pid, SIGKILL);
    while (waitpid(maker->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    maker->pid = 0;
}

static int start(struct maker *maker, struct err *err)
{
    const struct timeval wait = {.tv_sec = ANSWER_S};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, ERR_SYSTEM, "socketpair");
    AUTO_FD int near = pair[0], far = pair[1];
    if (setsockopt(near, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0)
        return err_sys(err, ERR_SYSTEM, "bound the wait for the maker");
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, ERR_SYSTEM, "start the maker of sandboxes%s", why(errno));
    if (pid == 0)
        become_maker(maker, far);
    maker->pid = pid;
    maker->fd = take_fd(&near);
    return 0;
}

int maker_open(struct maker *maker, uint32_t layers_off, struct err *err)
{
    *maker = (struct maker){.fd = -1, .program = make_program(err), .layers_off = layers_off};
    return maker->program < 0 ? -1 : start(maker, err);
}

void maker_close(struct maker *maker)
{
    end(maker);
    cleanup_fd(&maker->program);
    maker->program = -1;
}

static bool receive(const struct maker *maker, int32_t *answer)
{
    ssize_t got;
    do
        got = recv(maker->fd, answer, sizeof *answer, 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *answer;
}

static int order_clone(struct maker *maker, const struct child_spec *spec, int32_t *answer,
                       struct err *err)
{
    static char body[MAKER_BODY_BYTES];
    struct maker_order order;
    size_t body_bytes, fd_count;
    int fds[MAKER_FDS_MAX];
    if (maker_pack(spec, &order, body, &body_bytes, fds, &fd_count, err) != 0)
        return -1;
    for (int tries = 0; tries < 2; tries++) {
        if (maker->pid == 0 && start(maker, err) != 0)
            return -1;
        struct iovec parts[] = {{&order, sizeof order}, {body, body_bytes}};
        if (pass_send(maker->fd, parts, 2, fds, fd_count) && receive(maker, answer))
            return 0;
        log_event(LOG_WARN, "maker_ended", kv("pid", maker->pid));
        end(maker);
    }
    return err_set(err, ERR_SYSTEM, "the maker of sandboxes does not answer");
}

int maker_clone(struct maker *maker, const struct child_spec *spec, pid_t *pid, int *pidfd,
                struct err *err)
{
    int32_t answer = 0;
    if (order_clone(maker, spec, &answer, err) != 0)
        return -1;
    if (answer < 0) {
        errno = -answer;
        return err_sys(err, ERR_SYSTEM, "clone a sandbox%s", why(errno));
    }
    *pid = answer;
    *pidfd = pidfd_open(answer, 0); /* a child's number is its own until it is waited for */
    if (*pidfd >= 0)
        return 0;
    (void)err_sys(err, ERR_SYSTEM, "open a sandbox's init");
    kill(answer, SIGKILL);
    while (waitpid(answer, NULL, 0) < 0 && errno == EINTR)
        ;
    return -1;
}
