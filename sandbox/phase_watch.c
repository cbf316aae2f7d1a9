/* The events of a running phase: ready, clocks, outputs, out of memory, denied calls, the end. */
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "sandbox/given.h"
#include "sandbox/mounts.h"
#include "sandbox/notify.h"
#include "sandbox/pass.h"
#include "sandbox/phase_impl.h"
#include "sandbox/readback.h"
#include "sandbox/template.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define KILL_NS                                                                                    \
    INT64_C(3000000000) /* from a kill to the init's report, then the init is killed               \
                         */
#define CHECK_MIN_NS INT64_C(1000000)
#define READ_BYTES (64 * 1024)

void phase_note(struct evidence *ev, const char *format, ...)
{
    for (size_t i = 0; i < sizeof ev->collection_errors / sizeof ev->collection_errors[0]; i++) {
        if (ev->collection_errors[i][0])
            continue;
        va_list args;
        va_start(args, format);
        vsnprintf(ev->collection_errors[i], sizeof ev->collection_errors[i], format, args);
        va_end(args);
        return;
    }
}

static void kill_init(struct phase *phase)
{
    if (phase->init_fd >= 0)
        pidfd_send_signal(phase->init_fd, SIGKILL, NULL, 0);
}

void phase_fail(struct phase *phase, const char *format, ...)
{
    if (phase->ev->setup_ok) {
        va_list args;
        va_start(args, format);
        vsnprintf(phase->ev->setup_error, sizeof phase->ev->setup_error, format, args);
        va_end(args);
        phase->ev->setup_ok = false;
    }
    kill_init(phase);
}

void phase_kill(struct phase *phase, enum judge_action action)
{
    /* After the report the program has ended by itself: nothing was done to it any more. */
    if (!phase->active || phase->collected || phase->ended_ns)
        return;
    phase->pe->actions |= action;
    if (phase->kill_by_ns)
        return;
    phase->kill_by_ns = loop_now_ns() + KILL_NS;
    struct err err;
    /* Before the program started there is nothing for the init to report. */
    if (!phase->go_ns || pidfd_send_signal(phase->init_fd, SIGUSR1, NULL, 0) != 0 ||
        loop_timer(phase->timer_fd, phase->kill_by_ns, &err) != 0)
        kill_init(phase);
}

/* When the CPU limit can be reached at the earliest, or the wall limit. */
static int arm(struct phase *phase, int64_t now, uint64_t used_ns, struct err *err)
{
    const struct limits *limits = &phase->spec.limits;
    int64_t wall = phase->go_ns + (int64_t)limits->wall_ms * 1000000;
    uint64_t limit = limits->cpu_ms * 1000000;
    int64_t wait = used_ns < limit ? (int64_t)((limit - used_ns) / phase->host->cores) : 0;
    int64_t check = now + (wait > CHECK_MIN_NS ? wait : CHECK_MIN_NS);
    bool unlimited = (phase->spec.layers & LAYER_WALL) != 0;
    return loop_timer(phase->timer_fd, check < wall || unlimited ? check : wall, err);
}

void phase_on_timer(struct watch *watch, uint32_t events)
{
    (void)events;
    struct phase *phase = watch->owner;
    const struct limits *limits = &phase->spec.limits;
    uint64_t expirations, used = 0;
    struct err err;
    if (read(phase->timer_fd, &expirations, sizeof expirations) < 0)
        return;
    /* A report that came before this moment counts, however late the launcher gets to it. */
    if (!phase->collected)
        phase_messages(phase);
    int64_t now = loop_now_ns();
    if (phase->collected || (phase->ended_ns && phase->ev->setup_ok)) {
        phase_finish(phase);
    } else if (phase->kill_by_ns) {
        kill_init(phase); /* it did not report or not exit in time */
    } else if (!phase->go_ns) {
        phase_fail(phase, "the sandbox was not ready in time");
    } else if (now - phase->go_ns >= (int64_t)limits->wall_ms * 1000000 &&
               !(phase->spec.layers & LAYER_WALL)) {
        phase_kill(phase, ACTION_KILL_WALL);
    } else if (phase->host->cgroups.backend->cpu_ns(&phase->group, &used, &err) != 0) {
        phase_fail(phase, "%s", err.message);
    } else if (used > limits->cpu_ms * 1000000 && !(phase->spec.layers & LAYER_CPU)) {
        phase_kill(phase, ACTION_KILL_CPU);
    } else if (arm(phase, now, used, &err) != 0) {
        phase_fail(phase, "%s", err.message);
    }
}

void phase_on_oom(struct watch *watch, uint32_t events)
{
    (void)events;
    struct phase *phase = watch->owner;
    uint64_t count;
    if (read(phase->group.oom_fd, &count, sizeof count) != (ssize_t)sizeof count)
        return;
    phase->pe->oom_events += count;
    /* When the init is gone already nobody is left to kill. */
    if (events)
        phase_kill(phase, ACTION_KILL_OOM);
}

void phase_on_listener(struct watch *watch, uint32_t events)
{
    struct phase *phase = watch->owner;
    struct err err;
    bool flood = false;
    if (events & EPOLLIN) {
        if (notify_serve(phase->listener_fd, phase->pe, &flood, &err) == 0) {
            if (flood)
                phase_kill(phase, ACTION_KILL_SECCOMP);
            return;
        }
        phase_note(phase->ev, "%s", err.message);
    }
    /* No process uses the filter any more; or the listener broke, and closing it fails closed. */
    loop_remove(&phase->host->loop, &phase->listener);
    close(take_fd(&phase->listener_fd));
}

/* Most programs write to one of two, and a file costs more than its first bytes. */
static bool open_file(const struct phase_output *output)
{
    if (*output->file < 0)
        *output->file = memfd_create("output", MFD_CLOEXEC);
    return *output->file >= 0;
}

static ssize_t keep(struct phase *phase, struct phase_output *output)
{
    static char bytes[READ_BYTES];
    uint64_t limit = phase->spec.limits.output_bytes, before = *output->bytes;
    if (phase->spec.layers & LAYER_OUTPUT)
        limit = UINT64_MAX;
    ssize_t got = read(output->pipe, bytes, sizeof bytes);
    if (got <= 0)
        return got;
    *output->bytes += (uint64_t)got;
    uint64_t room = before < limit ? limit - before : 0;
    size_t kept = (uint64_t)got < room ? (size_t)got : (size_t)room;
    for (size_t done = 0; done < kept;) {
        ssize_t n = open_file(output) ? write(*output->file, bytes + done, kept - done) : -1;
        if (n <= 0) {
            if (!phase->output_lost)
                phase_note(phase->ev, "%s could not be kept: %s",
                           output->bytes == &phase->pe->stdout_bytes ? "stdout" : "stderr",
                           strerrordesc_np(errno));
            phase->output_lost = true;
            break;
        }
        done += (size_t)n;
    }
    if (kept < (size_t)got) {
        *output->cut = true;
        phase->pe->actions |= ACTION_KILL_OUTPUT;
    }
    return got;
}

void phase_on_output(struct watch *watch, uint32_t events)
{
    (void)events;
    struct phase *phase = watch->owner;
    struct phase_output *output = &phase->outputs[watch == &phase->outputs[PIPE_ERR].watch];
    ssize_t got = keep(phase, output);
    if (phase->pe->actions & ACTION_KILL_OUTPUT)
        phase_kill(phase, ACTION_KILL_OUTPUT);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    loop_remove(&phase->host->loop, watch);
    close(take_fd(&output->pipe));
}

void phase_drain(struct phase *phase)
{
    for (int i = 0; i < PIPE_COUNT; i++)
        while (phase->outputs[i].pipe >= 0 && keep(phase, &phase->outputs[i]) > 0)
            ;
}

static int watch_listener(struct phase *phase, pid_t payload, int number, struct err *err)
{
    if (number < 0)
        return 0;
    AUTO_FD int pidfd = pidfd_open(payload, 0);
    if (pidfd < 0)
        return err_sys(err, ERR_SYSTEM, "open the payload");
    phase->listener_fd = pidfd_getfd(pidfd, number, 0);
    if (phase->listener_fd < 0)
        return err_sys(err, ERR_SYSTEM, "take the filter's listener");
    return loop_add(&phase->host->loop, &phase->listener, phase->listener_fd, EPOLLIN, err);
}

static int hold(struct phase *phase, int process, struct err *err)
{
    if ((phase->runs == 0 &&
         (phase->mnt_ns = openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC)) < 0) ||
        (phase->root_fd = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 ||
        (phase->tmp_mount =
             openat(phase->root_fd, "tmp", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return err_sys(err, ERR_SYSTEM, "open a sandbox's mounts");
    phase->spec.tmp_mount = phase->tmp_mount; /* to be read back; the phase's */
    return 0;
}

/* What cannot be read back for want of a descriptor seems not to be in force. One was open at a
 * time, so two are more than enough. */
static bool want_descriptors(const struct phase *phase, struct err *err)
{
    if (!(phase->ev->controls_missing & readback_required()))
        return false;
    AUTO_FD int spare = fcntl(phase->root_fd, F_DUPFD_CLOEXEC, 3);
    AUTO_FD int second = spare < 0 ? -1 : fcntl(phase->root_fd, F_DUPFD_CLOEXEC, 3);
    return second < 0 && err_sys(err, ERR_SYSTEM, "read a sandbox back") != 0;
}

/* The payload waits: read back, judge the isolation, let it go. */
static void on_loaded(struct phase *phase, const struct child_message *message, pid_t payload)
{
    struct evidence *ev = phase->ev;
    struct err err;
    if (phase->go_ns)
        return phase_fail(phase, "the payload reported itself twice");
    phase->at[STEP_noticed] = loop_now_ns();
    for (int i = phase->spec.template ? STEP_payload : STEP_init; i <= STEP_loaded; i++)
        phase->at[i] = message->at[i];
    if (watch_listener(phase, payload, message->listener, &err) != 0)
        return phase_fail(phase, "%s", err.message);
    phase->at[STEP_listening] = loop_now_ns();
    AUTO_FD int process = readback_process(payload);
    if (hold(phase, process, &err) != 0)
        return phase_fail(phase, "%s", err.message);
    readback(phase->host, &phase->spec, phase->init, process, message->landlock == 1, ev,
             phase->pe);
    if (want_descriptors(phase, &err))
        return phase_fail(phase, "%s", err.message);
    memcpy(ev->filter_sha256, phase->spec.filter->sha256, sizeof ev->filter_sha256);
    phase->at[STEP_read_back] = loop_now_ns();
    phase->payload = payload;
    if (phase->given)
        phase_go(phase);
    else if (loop_timer(phase->timer_fd, 0, &err) != 0) /* it waits as long as it takes */
        phase_fail(phase, "%s", err.message);
}

void phase_tighten(struct phase *phase)
{
    const struct child_spec *spec = &phase->spec;
    struct err err;
    char word = CHILD_TIGHTEN;
    struct iovec parts[] = {{&word, 1}, {(void *)(uintptr_t)&spec->limits, sizeof spec->limits}};
    if (!(spec->layers & LAYER_MEMORY) &&
        phase->host->cgroups.backend->limit(&phase->group, spec->limits.memory_bytes,
                                            spec->limits.processes, &err) != 0)
        return phase_fail(phase, "%s", err.message);
    phase->tightening = true;
    if (writev(phase->sync_fd, parts, 2) != (ssize_t)(1 + sizeof spec->limits) ||
        loop_timer(phase->timer_fd, phase->began_ns + SETUP_NS, &err) != 0)
        phase_fail(phase, "the payload could not be told its limits");
}

static void on_tightened(struct phase *phase)
{
    if (!phase->tightening || phase->go_ns)
        return phase_fail(phase, "the payload changed its limits unasked");
    phase->tightening = false;
    AUTO_FD int process = readback_process(phase->payload);
    readback_limits(phase->host, &phase->spec, process, phase->ev, phase->pe);
    phase_go(phase);
}

/* One message: the word, and what the command gets of the job. */
static bool say_go(const struct phase *phase)
{
    char word = CHILD_GO;
    struct iovec parts[] = {{&word, 1}, {(void *)(uintptr_t)phase->words, phase->words_len}};
    return writev(phase->sync_fd, parts, 2) == (ssize_t)(1 + phase->words_len);
}

/* What the launcher held of the sandbox to place and read back. The init has the last hold on it
 * now, so its own end takes it down, and the launcher's loop does not wait for the kernel. A
 * compile's /tmp is kept for its output. */
static void let_go(struct phase *phase)
{
    int *fds[] = {&phase->root_fd, &phase->mnt_ns, &phase->box_mount,
                  phase->compile ? NULL : &phase->tmp_mount};
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        if (fds[i] && *fds[i] >= 0)
            close(take_fd(fds[i]));
}

/* In a sandbox that had a run of the same program it is in its place. */
static int place_box(struct phase *phase, struct err *err)
{
    AUTO_FD int place = openat(phase->root_fd, "box", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0)
        return err_sys(err, ERR_SYSTEM, "open the place of /box");
    if ((phase->spec.layers & LAYER_READONLY) && mounts_writable(phase->box_mount, err) != 0)
        return -1;
    return mounts_place(phase->box_mount, place, phase->mnt_ns, phase->host->home_ns, err);
}

void phase_go(struct phase *phase)
{
    struct evidence *ev = phase->ev;
    struct err err;
    if (phase->runs == 0 && place_box(phase, &err) != 0)
        return phase_fail(phase, "%s", err.message);
    readback_box(phase->root_fd, phase->box_mount, ev);
    if (want_descriptors(phase, &err))
        return phase_fail(phase, "%s", err.message);
    if (phase->given_files && given_link(phase->tmp_mount, phase->given_files, &err) != 0)
        return phase_fail(phase, "%s", err.message);
    phase->at[STEP_placed] = loop_now_ns();
    uint32_t lacking = ev->controls_missing & readback_required();
    for (int i = 0; i < CONTROL_COUNT && !phase->host->config.permissive && !phase->probe; i++)
        if (lacking & (1u << i))
            return phase_fail(phase, "isolation control %s is not in force",
                              control_name((enum control)i));
    if (phase->probe)
        return kill_init(phase);
    if (phase->kill_by_ns)
        return;
    phase->go_ns = phase->at[STEP_go] = loop_now_ns();
    ev->setup_ns += (uint64_t)(phase->go_ns - phase->began_ns);
    if (!say_go(phase))
        return phase_fail(phase, "the payload could not be started");
    phase->pe->ran = true;
    let_go(phase);
    if (arm(phase, phase->go_ns, 0, &err) != 0)
        return phase_fail(phase, "%s", err.message);
    /* A launcher that runs nothing else does it when it is idle: the wake-up of a blank puts it on
     * this processor, where it has to wait for the launcher. Not earlier: a payload that joins its
     * groups meanwhile would spin for the lock that making others holds. */
    if (phase->host->busy > 1)
        (void)host_replenish(phase->host);
    remains_trim(phase->host);
}

/* The sandbox is finished but for its payload. */
static void on_root(struct phase *phase, const struct child_message *message)
{
    struct err err;
    for (int i = STEP_init; i <= STEP_root; i++)
        phase->at[i] = message->at[i];
    if (template_fork(phase, &err) != 0)
        phase_fail(phase, "%s", err.message);
    phase_close_far(phase);
}

static void on_ended(struct phase *phase, const struct child_message *message)
{
    struct phase_evidence *pe = phase->pe;
    int status = message->status;
    phase->at[STEP_told] = loop_now_ns();
    phase->ended_ns = phase->at[STEP_ended] = message->ended_ns;
    pe->rss_max_bytes = message->rss_max_bytes;
    pe->zombies = message->zombies;
    phase->stays = message->alone && phase->spec.last_pid >= 0;
    pe->exited = WIFEXITED(status);
    pe->exit_code = pe->exited ? WEXITSTATUS(status) : 0;
    pe->signaled = WIFSIGNALED(status);
    pe->signal = pe->signaled ? WTERMSIG(status) : 0;
    pe->reported = pe->exited != pe->signaled;
    if (!phase->go_ns && !phase->probe && !phase->kill_by_ns)
        phase_fail(phase, "the payload ended before the program began");
}

static void on_message(struct phase *phase, const struct child_message *message, pid_t sender)
{
    switch ((enum child_kind)message->kind) {
    case CHILD_FAILED:
        return phase_fail(phase, "%.*s: %s", (int)sizeof message->where, message->where,
                          strerrordesc_np(message->error));
    case CHILD_ROOT:
        return on_root(phase, message);
    case CHILD_LOADED:
        return on_loaded(phase, message, sender);
    case CHILD_TIGHTENED:
        return on_tightened(phase);
    case CHILD_NO_EXEC:
        if (phase->own_binary)
            return phase_note(phase->ev, "the program's binary was refused: %s",
                              strerrordesc_np(message->error));
        return phase_fail(phase, "execute the toolchain: %s", strerrordesc_np(message->error));
    case CHILD_ENDED:
        return on_ended(phase, message);
    }
    phase_fail(phase, "a message of the sandbox is not understood");
}

/* 1 = handled a message, 0 = none. The last one, the report, is handled here but finishes nothing:
 * the callers do. */
static int next_message(struct phase *phase)
{
    struct child_message message;
    struct ucred creds;
    ssize_t got = pass_credentials(phase->sync_fd, &message, sizeof message, MSG_DONTWAIT, &creds);
    if (got <= 0)
        return 0;
    if (got != (ssize_t)sizeof message || creds.pid == 0)
        phase_fail(phase, "a message of the sandbox is torn");
    else
        on_message(phase, &message, creds.pid);
    return 1;
}

void phase_messages(struct phase *phase)
{
    while (phase->sync_fd >= 0 && next_message(phase) == 1)
        ;
}

void phase_on_sync(struct watch *watch, uint32_t events)
{
    struct phase *phase = watch->owner;
    /* One at a time, and the end of the pair last: init and payload are gone then. */
    if (next_message(phase) == 0 && (events & EPOLLHUP))
        loop_remove(&phase->host->loop, watch);
    /* The init killed and reaped everything before it reported: its own end need not be seen. */
    else if (phase->ended_ns && phase->ev->setup_ok)
        phase_finish(phase);
}

void phase_on_init(struct watch *watch, uint32_t events)
{
    (void)events;
    struct phase *phase = watch->owner;
    siginfo_t info;
    if (waitid(P_PIDFD, (id_t)phase->init_fd, &info, WEXITED) != 0 && errno == EINTR)
        return;
    loop_remove(&phase->host->loop, watch);
    close(take_fd(&phase->init_fd));
    if (phase->ev->setup_ok && !phase->go_ns && !phase->pe->actions && !phase->probe) {
        phase_messages(phase); /* the reason may still be in the queue */
        if (phase->ev->setup_ok && !phase->go_ns)
            phase_fail(phase, "the sandbox ended before it was ready");
    }
    phase_finish(phase);
}
