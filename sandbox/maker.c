/* The launcher's side of maker.h. */
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
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_S 10 /* then a blank is given up */
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
    /* What it cloned has a far end of its own; of what it did not, this was the last: the pair
     * ends, and nobody waits for it. */
    for (size_t i = 0; i < maker->blank_count; i++) {
        cleanup_fd(&maker->blanks[i].far);
        maker->blanks[i].far = -1;
    }
}

static int start(struct maker *maker, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, ERR_SYSTEM, "socketpair");
    AUTO_FD int near = pair[0], far = pair[1];
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

static void forget(struct maker_blank *blank)
{
    cleanup_fd(&blank->near);
    cleanup_fd(&blank->far);
    *blank = (struct maker_blank){-1, -1};
}

/* A maker that is gone is started anew, once. */
static int order_blank(struct maker *maker, struct err *err)
{
    struct maker_blank blank;
    uint32_t layers = maker->layers_off;
    struct iovec part = {&layers, sizeof layers};
    if (pass_pair(&blank.near, &blank.far, err) != 0)
        return -1;
    for (int tries = 0; tries < 2; tries++) {
        if (maker->pid == 0 && start(maker, err) != 0)
            break;
        if (pass_send(maker->fd, &part, 1, &blank.far, 1)) {
            maker->blanks[maker->blank_count++] = blank;
            return 0;
        }
        (void)err_sys(err, ERR_SYSTEM, "order a process of the maker of sandboxes");
        log_event(LOG_WARN, "maker_ended", kv("pid", maker->pid));
        end(maker);
    }
    forget(&blank);
    return -1;
}

static void reap(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void look(struct pollfd *ends, nfds_t count)
{
    while (poll(ends, count, ANSWER_S * 1000) < 0 && errno == EINTR)
        ;
}

/* Until the blank or its maker has said something, or both are gone. Of a maker that is gone
 * already the far end is closed. */
static void wait_for(struct maker *maker, struct maker_blank *blank)
{
    struct pollfd ends[] = {{blank->near, POLLIN, 0}, {maker->fd, POLLIN, 0}};
    if (blank->far >= 0) {
        look(ends, 2);
        if (ends[0].revents != 0)
            return;
        log_event(LOG_WARN, "maker_ended", kv("pid", maker->pid));
        end(maker);
        cleanup_fd(&blank->far); /* as those of the blanks behind it */
        blank->far = -1;
    }
    look(ends, 1);
}

/* The blank's word, whose number the kernel adds, or the maker's, why there is none. Whoever was
 * cloned speaks for itself: a maker that dies leaves nobody of whom the launcher does not know. */
static int hear(struct maker *maker, struct maker_blank *blank, pid_t *pid, struct err *err)
{
    struct ucred creds;
    int32_t word = 0;
    ssize_t got = pass_credentials(blank->near, &word, sizeof word, MSG_DONTWAIT, &creds);
    if (got < 0) {
        wait_for(maker, blank);
        got = pass_credentials(blank->near, &word, sizeof word, MSG_DONTWAIT, &creds);
    }
    if (got != (ssize_t)sizeof word || creds.pid == 0)
        return err_set(err, ERR_SYSTEM, "the maker of sandboxes does not answer");
    if (word != 0) {
        errno = word;
        return err_sys(err, ERR_SYSTEM, "clone a sandbox%s", why(word));
    }
    *pid = creds.pid;
    return 0;
}

static int tell(const struct maker_init *init, const struct child_spec *spec, struct err *err)
{
    static char body[MAKER_BODY_BYTES];
    struct maker_order order;
    size_t body_bytes, fd_count;
    int fds[MAKER_FDS_MAX];
    if (maker_pack(spec, &order, body, &body_bytes, fds, &fd_count, err) != 0)
        return -1;
    struct iovec parts[] = {{&order, sizeof order}, {body, body_bytes}};
    struct child_message last;
    if (pass_send(init->sync_fd, parts, 2, fds, fd_count))
        return 0;
    (void)err_sys(err, ERR_SYSTEM, "order a sandbox");
    if (recv(init->sync_fd, &last, sizeof last, MSG_DONTWAIT) == (ssize_t)sizeof last)
        return err_set(err, ERR_SYSTEM, "%.*s: %s", (int)sizeof last.where, last.where,
                       strerrordesc_np(last.error));
    return -1;
}

static struct maker_blank oldest(struct maker *maker)
{
    struct maker_blank blank = maker->blanks[0];
    memmove(maker->blanks, maker->blanks + 1, --maker->blank_count * sizeof blank);
    return blank;
}

/* One that is there, and can be told. */
static int use(struct maker *maker, const struct child_spec *spec, struct maker_init *out,
               struct err *err)
{
    struct maker_blank blank = oldest(maker);
    pid_t pid;
    if (hear(maker, &blank, &pid, err) != 0) {
        forget(&blank);
        return -1;
    }
    *out = (struct maker_init){pid, pidfd_open(pid, 0), blank.near, blank.far};
    int result = out->pidfd < 0  ? err_sys(err, ERR_SYSTEM, "open a sandbox's init")
                 : blank.far < 0 ? err_set(err, ERR_SYSTEM, "the maker of sandboxes ended")
                                 : tell(out, spec, err);
    if (result == 0)
        return 0;
    reap(pid); /* a child's number is its own until it is waited for */
    cleanup_fd(&out->pidfd);
    forget(&blank);
    return -1;
}

int maker_clone(struct maker *maker, const struct child_spec *spec, struct maker_init *out,
                struct err *err)
{
    int result = -1;
    /* Those ordered before may be of a maker that died, or of a time without room for them. */
    for (int tries = 0; tries <= MAKER_BLANKS && result != 0; tries++) {
        if (maker->blank_count == 0 && order_blank(maker, err) != 0)
            return -1;
        result = use(maker, spec, out, err);
    }
    return result;
}

bool maker_refill(struct maker *maker)
{
    struct err err;
    bool ordered = false;
    while (maker->blank_count < MAKER_BLANKS && order_blank(maker, &err) == 0)
        ordered = true; /* who needs one that could not be ordered will say so */
    return ordered;
}

void maker_close(struct maker *maker)
{
    struct err err;
    while (maker->blank_count > 0) {
        struct maker_blank blank = oldest(maker);
        pid_t pid;
        if (hear(maker, &blank, &pid, &err) == 0)
            reap(pid);
        forget(&blank);
    }
    end(maker);
    cleanup_fd(&maker->program);
    maker->program = -1;
}
