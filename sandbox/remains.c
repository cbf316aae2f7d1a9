/* The list behind remains.h. An init that was told to exit is not waited for here, and a group it
 * was in the tree of is removed only after; what is not at its end yet is looked at again a
 * millisecond later. */
#include "sandbox/remains.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/host.h"
#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#define TRIES 2000
#define PAUSE_NS 1000000
#define FDS_AT_ONCE 6 /* closed in one piece of work */

struct remains *remains_new(struct host *host)
{
    struct remains *remains = calloc(1, sizeof *remains);
    if (remains)
        *remains = (struct remains){.host = host, .init_fd = -1};
    return remains;
}

void remains_fd(struct remains *remains, int *fd)
{
    if (*fd < 0)
        return;
    if (remains->fd_count == REMAINS_FDS)
        close(take_fd(fd));
    else
        remains->fds[remains->fd_count++] = take_fd(fd);
}

/* Whether it was reaped; wait: it was killed and is waited for. */
static bool reap(struct remains *remains, bool wait)
{
    siginfo_t info = {0};
    while (waitid(P_PIDFD, (id_t)remains->init_fd, &info, WEXITED | (wait ? 0 : WNOHANG)) != 0 &&
           errno == EINTR)
        ;
    if (!wait && info.si_pid == 0)
        return false;
    close(take_fd(&remains->init_fd));
    return true;
}

int remains_later(struct host *host, int64_t at_ns, struct err *err)
{
    return loop_timer(host->remains.timer_fd, at_ns, err);
}

/* Comes back to it later. */
static bool put_off(struct remains *remains)
{
    struct err err;
    remains->busy_until_ns = loop_now_ns() + PAUSE_NS;
    return remains_later(remains->host, remains->busy_until_ns, &err) == 0;
}

static void on_timer(struct watch *watch, uint32_t events)
{
    struct host *host = watch->owner;
    uint64_t expirations;
    (void)events;
    if (read(host->remains.timer_fd, &expirations, sizeof expirations) > 0)
        host_has_work(host);
}

int remains_open(struct host *host, struct err *err)
{
    struct remains_list *list = &host->remains;
    list->timer = (struct watch){.fd = -1, .ready = on_timer, .owner = host};
    list->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (list->timer_fd < 0)
        return err_sys(err, ERR_SYSTEM, "timerfd_create");
    return loop_add(&host->loop, &list->timer, list->timer_fd, EPOLLIN, err);
}

/* Removes the group, or gives up and leaves it for the next start's sweep. False = not yet. */
static bool remove_group(struct remains *remains)
{
    struct err err;
    int removed = cgroup_remove(&remains->host->cgroups, &remains->group, &err);
    if (removed == 0 && ++remains->tries < TRIES && put_off(remains))
        return false;
    if (removed < 0)
        log_event(LOG_WARN, "group_stays", kv("group", remains->group.name), kv_err(&err));
    else if (removed == 0)
        log_event(LOG_WARN, "group_stays", kv("group", remains->group.name), kv("why", "busy"));
    cgroup_close(&remains->group);
    return true;
}

static void unlist(struct remains_list *list, struct remains **link)
{
    struct remains *gone = *link;
    *link = gone->next;
    if (list->end == &gone->next)
        list->end = link;
    list->count--;
    free(gone);
}

static bool waits(struct remains *remains)
{
    if (remains->busy_until_ns && remains->busy_until_ns > loop_now_ns())
        return true;
    if (remains->init_fd < 0 || reap(remains, false))
        return false;
    return put_off(remains) || !reap(remains, true);
}

bool remains_work(struct host *host)
{
    struct remains_list *list = &host->remains;
    struct remains **link = &list->first;
    while (*link && waits(*link))
        link = &(*link)->next;
    struct remains *ready = *link;
    if (!ready)
        return false;
    for (int i = 0; i < FDS_AT_ONCE && ready->fd_count > 0; i++) {
        close(ready->fds[--ready->fd_count]);
        if (i + 1 == FDS_AT_ONCE)
            return true;
    }
    if (!remove_group(ready))
        return true;
    bool was_full = remains_full(host);
    unlist(list, link);
    if (was_full && !remains_full(host) && host->room)
        host->room(host->room_context);
    return true;
}

bool remains_full(const struct host *host)
{
    return host->remains.count >= REMAINS_MAX;
}

void remains_leave(struct remains *remains, struct cgroup *group, int *init_fd)
{
    struct host *host = remains->host;
    struct remains_list *list = &host->remains;
    remains->group = *group;
    *group = (struct cgroup){CGROUP_NONE};
    remains->init_fd = take_fd(init_fd);
    if (!list->end)
        list->end = &list->first;
    *list->end = remains;
    list->end = &remains->next;
    list->count++;
    /* It exits by itself after its report; this makes sure. */
    if (remains->init_fd >= 0)
        pidfd_send_signal(remains->init_fd, SIGKILL, NULL, 0);
    while (list->count > REMAINS_HERE && remains_work(host))
        ;
}

void remains_trim(struct host *host)
{
    while (host->remains.count > REMAINS_KEPT && remains_work(host))
        ;
}

void remains_finish(struct host *host)
{
    struct remains_list *list = &host->remains;
    while (list->first) {
        struct remains *first = list->first;
        if (first->init_fd >= 0)
            reap(first, true);
        while (list->first == first && first->busy_until_ns > loop_now_ns())
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        remains_work(host);
    }
}

void remains_close(struct host *host)
{
    remains_finish(host);
    loop_remove(&host->loop, &host->remains.timer);
    cleanup_fd(&host->remains.timer_fd);
    host->remains.timer_fd = -1;
}
