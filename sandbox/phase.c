/* Making a phase's sandbox and taking it down. All that can fail before the clone fails here, with
 * everything given back; after the clone the phase always ends through phase_finish. */
#include "sandbox/phase.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "sandbox/mounts.h"
#include "sandbox/pass.h"
#include "sandbox/phase_impl.h"
#include "sandbox/readback.h"
#include "sandbox/shelf.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* As SETUP_NS for a fork or a sandbox that stayed; then the job runs without it. */
#define FORK_NS INT64_C(3000000000)
#define EMPTY_NS INT64_C(1000000) /* between looks whether the group is empty */
#define EMPTY_TRIES 2000
/* Where one of these is off, no init stays: its sandbox is not its own then. */
#define STAY_NEEDS (LAYER_PID | LAYER_VIEW | LAYER_FDS | LAYER_READONLY)
#define INODES_MIN 2048 /* of what escape tests share */

/* The ends handed to the child; the launcher closes them right after the clone. */
struct far_ends {
    int sync, pipes[PIPE_COUNT];
};

static void far_close(const struct far_ends *far)
{
    cleanup_fd(&far->sync);
    for (int i = 0; i < PIPE_COUNT; i++)
        cleanup_fd(&far->pipes[i]);
}

static int open_channels(struct phase *phase, struct far_ends *far, struct err *err)
{
    for (int i = 0; i < PIPE_COUNT; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            return err_sys(err, ERR_SYSTEM, "pipe");
        phase->outputs[i].pipe = ends[0];
        far->pipes[i] = ends[1];
        if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
            return err_sys(err, ERR_SYSTEM, "make a pipe non-blocking");
        /* The job's own, so that it can open /dev/stdout and /dev/stderr by name. */
        if (fchown(ends[1], phase->spec.uid, phase->spec.uid) != 0)
            return err_sys(err, ERR_SYSTEM, "hand a pipe to its job");
    }
    if (phase->timer_fd < 0)
        phase->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return phase->timer_fd >= 0 ? 0 : err_sys(err, ERR_SYSTEM, "timerfd_create");
}

static int open_group(struct phase *phase, struct err *err)
{
    struct host *host = phase->host;
    uint64_t memory = phase->spec.limits.memory_bytes, processes = phase->spec.limits.processes;
    if (host->config.layers_off & LAYER_MEMORY)
        memory = processes = UINT64_C(1) << 21; /* absurdly wide for both */
    if (host->config.layers_off & LAYER_MEMORY)
        memory <<= 20;
    return cgroup_create(&host->cgroups, memory, processes, &phase->group, err);
}

/* A copy of a mount that all phases share, hung up by the first: escape tests only. */
static int shared(const struct phase *phase, const char *name, uint64_t bytes, struct err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", phase->host->config.state_dir, name);
    if (access(path, F_OK) == 0)
        return mounts_clone(path, err);
    AUTO_FD int mount = mounts_tmpfs(bytes, INODES_MIN, 01777, err);
    return mount < 0 || mounts_hang(mount, path, err) != 0 ? -1 : mounts_clone(path, err);
}

static int share_mounts(struct phase *phase, struct err *err)
{
    struct child_spec *spec = &phase->spec;
    uint64_t bytes = spec->limits.tmp_bytes;
    if (!phase->compile && (spec->tmp_mount = shared(phase, "shared-tmp", bytes, err)) < 0)
        return -1;
    spec->shm_mount = shared(phase, "shared-shm", bytes, err);
    return spec->shm_mount >= 0 ? 0 : -1;
}

/* The init of an earlier run, which has made its sandbox anew or will before it looks; their pair
 * is a fresh one. */
static int order_init(struct phase *phase, struct idle *idle, struct far_ends *far, struct err *err)
{
    if (pass_pair(&phase->sync_fd, &far->sync, err) != 0)
        return -1;
    phase->spec.sync_fd = far->sync;
    phase->timer_fd = take_fd(&idle->timer_fd);
    if (shelf_order(idle, &phase->spec, err) != 0)
        return -1;
    phase->init = idle->init;
    phase->init_fd = take_fd(&idle->init_fd);
    phase->runs = idle->runs;
    return 0;
}

static int clone_init(struct phase *phase, struct far_ends *far, struct err *err)
{
    struct maker_init init;
    if (maker_clone(&phase->host->maker, &phase->spec, &init, err) != 0)
        return -1;
    phase->init = init.pid;
    phase->init_fd = init.pidfd;
    phase->sync_fd = init.sync_fd;
    far->sync = init.far_fd;
    return 0;
}

static int watch_all(struct phase *phase, struct err *err)
{
    struct loop *loop = &phase->host->loop;
    if (loop_add(loop, &phase->sync, phase->sync_fd, EPOLLIN, err) != 0 ||
        loop_add(loop, &phase->timer, phase->timer_fd, EPOLLIN, err) != 0)
        return -1;
    if (phase->group.oom_fd >= 0 &&
        loop_add(loop, &phase->oom, phase->group.oom_fd, EPOLLIN, err) != 0)
        return -1;
    for (int i = 0; i < PIPE_COUNT; i++)
        if (loop_add(loop, &phase->outputs[i].watch, phase->outputs[i].pipe, EPOLLIN, err) != 0)
            return -1;
    return loop_timer(phase->timer_fd,
                      phase->began_ns + (phase->spec.template || phase->runs ? FORK_NS : SETUP_NS),
                      err);
}

static void set_outputs(struct phase *phase, const struct phase_start *start);

static void reset(struct phase *phase, const struct phase_start *start)
{
    struct host *host = phase->host;
    const struct toolchain *toolchain = &host->toolchains[start->language];
    phase->group = (struct cgroup){CGROUP_NONE};
    phase->grouped = false;
    phase->init = 0;
    phase->init_fd = phase->sync_fd = phase->timer_fd = phase->listener_fd = -1;
    phase->mnt_ns = phase->root_fd = phase->box_mount = -1;
    phase->payload = 0;
    phase->given = phase->tightening = false;
    phase->tmp_mount = -1;
    phase->go_ns = phase->ended_ns = phase->kill_by_ns = 0;
    phase->tries = 0;
    phase->active = phase->collected = phase->output_lost = false;
    phase->probe = start->probe;
    phase->compile = start->compile;
    phase->shelf = start->shelf;
    phase->runs = 0;
    phase->stays = false;
    memset(phase->at, 0, sizeof phase->at);
    phase->began_ns = phase->at[STEP_began] = loop_now_ns();
    const struct toolchain_phase *commands = start->compile ? &toolchain->compile : &toolchain->run;
    phase->own_binary = strncmp(commands->steps[0][0], "/box/", 5) == 0;
    phase->spec = (struct child_spec){
        .root_ns = host->roots[start->language][start->compile],
        .last_pid = start->shelf && !(host->config.layers_off & STAY_NEEDS) ? host->last_pid : -1,
        .tmp_mount = -1,
        .stdin_fd = start->stdin_fd,
        .shm_mount = -1,
        .group = &phase->group,
        .commands = commands,
        .filter = &host->filters[commands->family],
        .limits = start->limits,
        .source = language_source(start->language),
        .compile = start->compile,
        .at = phase->at,
        .landlock_abi = host->landlock_abi,
        .template = start->template,
        .layers = host->config.layers_off};
    struct watch *watches[] = {
        &phase->sync,     &phase->init_watch,       &phase->timer,           &phase->oom,
        &phase->listener, &phase->outputs[0].watch, &phase->outputs[1].watch};
    void (*const ready[])(struct watch *, uint32_t) = {
        phase_on_sync,     phase_on_init,   phase_on_timer, phase_on_oom,
        phase_on_listener, phase_on_output, phase_on_output};
    for (size_t i = 0; i < COUNT_OF(watches); i++)
        *watches[i] = (struct watch){.fd = -1, .ready = ready[i], .owner = phase};
    for (int i = 0; i < PIPE_COUNT; i++)
        phase->outputs[i].pipe = -1;
    for (int i = 0; i < PHASE_FAR_COUNT; i++)
        phase->far[i] = -1;
    phase->template_generation = phase->template_jobs = 0;
    set_outputs(phase, start);
}

static void set_outputs(struct phase *phase, const struct phase_start *start)
{
    for (int i = 0; i < PIPE_COUNT; i++) {
        struct phase_output *output = &phase->outputs[i];
        bool as_err = i == PIPE_ERR || start->merge;
        output->file = start->files[as_err ? PIPE_ERR : PIPE_OUT];
        output->bytes = as_err ? &phase->pe->stderr_bytes : &phase->pe->stdout_bytes;
        output->cut = as_err ? &phase->pe->stderr_cut : &phase->pe->stdout_cut;
    }
}

/* The payload's standard descriptors and groups. */
static int outfit(const struct phase *phase, const struct far_ends *far, struct err *err)
{
    int fds[CHILD_OUTFIT_FDS] = {phase->spec.stdin_fd, far->pipes[PIPE_OUT], far->pipes[PIPE_ERR]};
    size_t count = CHILD_OUTFIT_GROUPS;
    char word = CHILD_OUTFIT;
    struct iovec part = {&word, 1};
    count += cgroup_joins(&phase->host->cgroups, &phase->group, fds + count);
    return pass_send(phase->sync_fd, &part, 1, fds, count)
               ? 0
               : err_sys(err, ERR_SYSTEM, "hand a sandbox its groups");
}

/* All that the init does not need: made while it builds its root. */
static int equip(struct phase *phase, struct far_ends *far, struct err *err)
{
    if (open_channels(phase, far, err) != 0)
        return -1;
    phase->at[STEP_channels] = loop_now_ns();
    if (open_group(phase, err) != 0)
        return -1;
    phase->at[STEP_group] = loop_now_ns();
    phase->grouped = true;
    if (!phase->spec.template && outfit(phase, far, err) != 0)
        return -1;
    return watch_all(phase, err);
}

static int build(struct phase *phase, struct idle *idle, struct far_ends *far, struct err *err)
{
    phase->host->phases++;
    phase->remains = remains_new(phase->host);
    if (!phase->remains)
        return err_set(err, ERR_NO_MEMORY, "no memory for a sandbox");
    phase->spec.uid = host_uid_get(phase->host);
    if (phase->spec.uid == 0)
        return err_set(err, ERR_SYSTEM, "all user ids are in use");
    if ((phase->spec.layers & LAYER_FRESH) && !idle && share_mounts(phase, err) != 0)
        return -1;
    if ((idle ? order_init(phase, idle, far, err) : clone_init(phase, far, err)) != 0)
        return -1;
    phase->at[STEP_cloned] = loop_now_ns();
    phase->active = true;
    /* A failure from here on ends the phase through the init's death. */
    struct err late;
    if (loop_add(&phase->host->loop, &phase->init_watch, phase->init_fd, EPOLLIN, &late) != 0 ||
        equip(phase, far, &late) != 0)
        phase_fail(phase, "%s", late.message);
    return 0;
}

/* What the child holds from the clone on, a fork of the template gets later. */
static int keep_far(struct phase *phase, struct far_ends *far, struct err *err)
{
    phase->far[PHASE_FAR_SYNC] = take_fd(&far->sync);
    phase->far[PHASE_FAR_STDOUT] = take_fd(&far->pipes[PIPE_OUT]);
    phase->far[PHASE_FAR_STDERR] = take_fd(&far->pipes[PIPE_ERR]);
    phase->far[PHASE_FAR_STDIN] = fcntl(phase->spec.stdin_fd, F_DUPFD_CLOEXEC, 3);
    return phase->far[PHASE_FAR_STDIN] >= 0 ? 0 : err_sys(err, ERR_SYSTEM, "keep a job's stdin");
}

void phase_close_far(struct phase *phase)
{
    for (int i = 0; i < PHASE_FAR_COUNT; i++) {
        cleanup_fd(&phase->far[i]);
        phase->far[i] = -1;
    }
}

/* Hands everything to what takes it down later; `done` may free the phase then. */
static void leave(struct phase *phase)
{
    struct watch *watches[] = {
        &phase->sync,     &phase->init_watch,       &phase->timer,           &phase->oom,
        &phase->listener, &phase->outputs[0].watch, &phase->outputs[1].watch};
    int *fds[] = {&phase->sync_fd,        &phase->timer_fd,        &phase->listener_fd,
                  &phase->spec.shm_mount, &phase->outputs[0].pipe, &phase->outputs[1].pipe,
                  &phase->box_mount,      &phase->root_fd,         &phase->mnt_ns};
    for (size_t i = 0; i < COUNT_OF(watches); i++)
        loop_remove(&phase->host->loop, watches[i]);
    phase_close_far(phase);
    if (phase->shelf)
        shelf_put(phase->shelf, phase);
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        remains_fd(phase->remains, fds[i]);
    if (!phase->compile)
        remains_fd(phase->remains, &phase->tmp_mount);
    remains_leave(phase->remains, &phase->group, &phase->init_fd);
    phase->remains = NULL;
}

int phase_prepare(struct phase *phase, const struct phase_start *start, struct err *err)
{
    struct far_ends far = {-1, {-1, -1}};
    reset(phase, start);
    struct err late;
    int result = build(phase, start->idle, &far, err);
    if (start->idle)
        shelf_end(start->idle); /* without its init, unless that could not be told */
    if (result == 0 && start->template && keep_far(phase, &far, &late) != 0)
        phase_fail(phase, "%s", late.message);
    far_close(&far);
    cleanup_fd(&phase->spec.tmp_mount);
    cleanup_fd(&phase->spec.shm_mount);
    phase->spec.tmp_mount = phase->spec.shm_mount = -1;
    if (result != 0) {
        if (phase->spec.uid)
            host_uid_put(phase->host, phase->spec.uid);
        if (phase->remains)
            leave(phase);
    }
    return result;
}

int phase_start(struct phase *phase, const struct phase_start *start, struct err *err)
{
    if (phase_prepare(phase, start, err) != 0)
        return -1;
    phase_give(phase, start, phase->ev, phase->pe);
    return 0;
}

void phase_give(struct phase *phase, const struct phase_start *start, struct evidence *ev,
                struct phase_evidence *pe)
{
    if (phase->ev != ev) {
        readback_carry(phase->ev, ev);
        pe->limits = phase->pe->limits;
        pe->limits.wall_ms = start->limits.wall_ms; /* what the launcher itself enforces */
        pe->limits.output_bytes = start->limits.output_bytes;
        phase->ev = ev;
        phase->pe = pe;
    }
    if (phase->payload)
        phase->began_ns = phase->at[STEP_began] = loop_now_ns(); /* the job's set-up begins here */
    struct err err;
    phase->given = true;
    phase->host->busy++;
    const struct limits made_with = phase->spec.limits;
    phase->spec.limits = start->limits;
    phase->words = start->words;
    phase->words_len = start->words_len;
    phase->given_files = start->given;
    set_outputs(phase, start);
    phase->box_mount =
        phase->runs ? shelf_root(phase->shelf, &err) : fcntl(start->box_mount, F_DUPFD_CLOEXEC, 3);
    if (phase->box_mount < 0)
        return phase_fail(phase, "the job's files could not be kept open");
    if (phase->payload && phase_same_limits(&made_with, &start->limits))
        phase_go(phase);
    else if (phase->payload)
        phase_tighten(phase);
}

/* Of what the kernel was told; wall time and output are the launcher's to watch. */
bool phase_same_limits(const struct limits *a, const struct limits *b)
{
    return phase_may_tighten(a, b) && phase_may_tighten(b, a);
}

bool phase_may_tighten(const struct limits *from, const struct limits *to)
{
    return to->memory_bytes <= from->memory_bytes && to->cpu_ms <= from->cpu_ms &&
           to->processes <= from->processes && to->file_bytes <= from->file_bytes &&
           to->open_files == from->open_files && to->tmp_bytes == from->tmp_bytes &&
           to->stack_bytes == from->stack_bytes;
}

bool phase_ready(const struct phase *phase)
{
    return phase->active && phase->payload && !phase->given && phase->ev->setup_ok;
}

void phase_release(struct phase *phase)
{
    cleanup_fd(&phase->tmp_mount);
    phase->tmp_mount = -1;
}

/* Reads the group's numbers and whether anybody is left in it. */
static void collect(struct phase *phase)
{
    const struct cgroup_backend *backend = phase->host->cgroups.backend;
    struct phase_evidence *pe = phase->pe;
    struct cgroup_usage usage;
    struct err err;
    phase_messages(phase);
    phase_drain(phase);
    if (phase->group.oom_fd >= 0)
        phase_on_oom(&phase->oom, 0);
    if (!phase->grouped || backend->usage(&phase->group, &usage, &err) != 0) {
        if (phase->grouped)
            phase_note(phase->ev, "%s", err.message);
        pe->reported = false; /* without the group's numbers there is no verdict */
        usage = (struct cgroup_usage){0};
    }
    if (phase->output_lost)
        pe->reported = false; /* nor without its output */
    pe->cpu_ns = usage.cpu_ns;
    pe->memory_peak_bytes = usage.memory_peak_bytes;
    pe->oom_kills = usage.oom_kills;
    pe->oom_events += usage.oom_events;
    pe->pids_peak = usage.pids_peak;
    pe->pids_denied = usage.pids_denied;
    pe->pids_max = phase->group.processes;
    if (phase->go_ns)
        pe->wall_ns =
            (uint64_t)((phase->ended_ns ? phase->ended_ns : loop_now_ns()) - phase->go_ns);
    phase->collected = true;
    phase->at[STEP_collected] = loop_now_ns();
}

/* Whether nobody is left in the group, or it was looked often enough; else it comes back: at the
 * init's end, after which nobody can be left, or a millisecond later, as a dying process still
 * counts. */
static bool settled(struct phase *phase)
{
    struct err err;
    bool empty = !phase->grouped; /* then nobody was told of it */
    if (!empty && phase->host->cgroups.backend->empty(&phase->group, &empty, &err) != 0)
        phase_note(phase->ev, "%s", err.message);
    phase->pe->group_empty = empty;
    phase->pe->survivors = empty ? 0 : 1;
    if (empty || (phase->spec.layers & LAYER_RENEW))
        return true;
    if (phase->init_fd >= 0) {
        pidfd_send_signal(phase->init_fd, SIGKILL, NULL, 0);
        return false;
    }
    if (phase->tries++ < EMPTY_TRIES &&
        loop_timer(phase->timer_fd, loop_now_ns() + EMPTY_NS, &err) == 0)
        return false;
    phase_note(phase->ev, "control group %s was still busy after %d looks", phase->group.name,
               EMPTY_TRIES);
    return true;
}

void phase_finish(struct phase *phase)
{
    if (!phase->collected)
        collect(phase);
    if (!settled(phase))
        return;
    if (phase->pe->group_empty)
        host_uid_put(phase->host, phase->spec.uid); /* else nobody may ever get it again */
    phase->ev->teardown_ns += (uint64_t)(phase->ended_ns ? loop_now_ns() - phase->ended_ns : 0);
    leave(phase);
    phase->at[STEP_done] = loop_now_ns();
    phase->active = false;
    phase->host->busy -= phase->given;
    host_rest(phase->host);
    phase->done(phase);
}
