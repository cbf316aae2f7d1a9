/* See shelf.h. An idle init that dies, or that nobody wanted for a while, is taken down as any
 * other (remains.h); what it has not done for a run that was ordered is the phase's to notice. */
#include "sandbox/shelf.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "sandbox/host.h"
#include "sandbox/mounts.h"
#include "sandbox/pass.h"
#include "sandbox/phase.h"
#include "sandbox/readback.h"
#include "sandbox/stay.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct shelf {
    struct host *host;
    unsigned holders;
    char path[HOST_PATH + 32];
    bool used;
    struct idle *idle[SHELF_MAX];
    size_t count;
};

struct shelf *shelf_new(struct host *host, int box_mount, struct err *err)
{
    struct shelf *shelf = calloc(1, sizeof *shelf);
    if (!shelf) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for a built program");
        return NULL;
    }
    *shelf = (struct shelf){.host = host, .holders = 1};
    snprintf(shelf->path, sizeof shelf->path, "%s/built-%llu", host->config.state_dir,
             (unsigned long long)++host->built_serial);
    if (mounts_hang(box_mount, shelf->path, err) == 0)
        return shelf;
    free(shelf);
    return NULL;
}

struct shelf *shelf_hold(struct shelf *shelf)
{
    shelf->holders++;
    return shelf;
}

void shelf_drop(struct shelf *shelf)
{
    if (!shelf || --shelf->holders > 0)
        return;
    while (shelf->count > 0)
        shelf_end(shelf_take(shelf, NULL));
    mounts_unhang(shelf->path);
    free(shelf);
}

int shelf_box(const struct shelf *shelf, struct err *err)
{
    return mounts_clone(shelf->path, err);
}

int shelf_root(const struct shelf *shelf, struct err *err)
{
    int root = open(shelf->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root >= 0 ? root : err_sys(err, ERR_SYSTEM, "open a built program");
}

bool shelf_first(struct shelf *shelf)
{
    bool first = !shelf->used;
    shelf->used = true;
    return first;
}

/* Neither watched nor on its shelf any more. */
static void lift(struct idle *idle)
{
    struct shelf *shelf = idle->shelf;
    size_t at = 0;
    while (shelf->idle[at] != idle)
        at++;
    shelf->idle[at] = shelf->idle[--shelf->count];
    idle->host->idle_sandboxes--;
    loop_remove(&idle->host->loop, &idle->init_watch);
    loop_remove(&idle->host->loop, &idle->timer);
}

struct idle *shelf_take(struct shelf *shelf, const struct limits *limits)
{
    for (size_t i = shelf->count; i-- > 0;) {
        struct idle *idle = shelf->idle[i];
        if (limits && limits->tmp_bytes != idle->tmp_bytes)
            continue;
        lift(idle);
        return idle;
    }
    return NULL;
}

void shelf_end(struct idle *idle)
{
    struct cgroup none = {CGROUP_NONE};
    cleanup_fd(&idle->sync_fd);
    cleanup_fd(&idle->timer_fd);
    if (idle->init_fd >= 0) {
        remains_leave(idle->remains, &none, &idle->init_fd);
        host_has_work(idle->host);
    } else {
        free(idle->remains);
    }
    free(idle);
}

static void on_init(struct watch *watch, uint32_t events)
{
    (void)events;
    struct idle *idle = watch->owner;
    log_event(LOG_WARN, "idle_sandbox_died", kv("runs", idle->runs));
    lift(idle);
    shelf_end(idle);
}

static void on_timer(struct watch *watch, uint32_t events)
{
    (void)events;
    struct idle *idle = watch->owner;
    lift(idle);
    shelf_end(idle);
}

int shelf_order(const struct idle *idle, const struct child_spec *spec, struct err *err)
{
    struct stay_order order = {
        .limits = spec->limits, .uid = spec->uid, .template = spec->template};
    struct iovec part = {&order, sizeof order};
    return pass_send(idle->sync_fd, &part, 1, &spec->sync_fd, 1)
               ? 0
               : err_sys(err, ERR_SYSTEM, "order a run in a sandbox that stayed");
}

static bool to_be_kept(const struct shelf *shelf, const struct phase *phase)
{
    const struct host *host = shelf->host;
    bool wanted = shelf->holders > 1; /* more runs may come */
    bool room =
        shelf->count < SHELF_MAX && host->idle_sandboxes < SHELF_MAX_PER_SLOT * host->config.slots;
    bool clean =
        shelf_clean(phase->ev, readback_required()) || (phase->spec.layers & LAYER_RENEW) != 0;
    return phase->stays && phase->init_fd >= 0 && wanted && room && clean;
}

void shelf_put(struct shelf *shelf, struct phase *phase)
{
    struct host *host = phase->host;
    struct loop *loop = &host->loop;
    struct err err;
    if (!to_be_kept(shelf, phase))
        return;
    struct idle *idle = calloc(1, sizeof *idle);
    struct remains *remains = idle ? remains_new(host) : NULL;
    if (!remains) {
        free(idle);
        return;
    }
    *idle = (struct idle){.host = host,
                          .shelf = shelf,
                          .init_watch = {.fd = -1, .ready = on_init, .owner = idle},
                          .timer = {.fd = -1, .ready = on_timer, .owner = idle},
                          .init = phase->init,
                          .init_fd = take_fd(&phase->init_fd),
                          .sync_fd = take_fd(&phase->sync_fd),
                          .timer_fd = take_fd(&phase->timer_fd),
                          .remains = remains,
                          .runs = phase->runs + 1,
                          .tmp_bytes = phase->spec.limits.tmp_bytes};
    if (loop_add(loop, &idle->init_watch, idle->init_fd, EPOLLIN, &err) != 0 ||
        loop_add(loop, &idle->timer, idle->timer_fd, EPOLLIN, &err) != 0 ||
        loop_timer(idle->timer_fd, loop_now_ns() + SHELF_IDLE_NS, &err) != 0) {
        log_event(LOG_ERROR, "watch_failed", kv_err(&err));
        loop_remove(loop, &idle->init_watch);
        loop_remove(loop, &idle->timer);
        shelf_end(idle);
        return;
    }
    shelf->idle[shelf->count++] = idle;
    host->idle_sandboxes++;
}
