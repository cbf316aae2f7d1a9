/* The list behind remains.h. An init that was told to exit is not waited for here: its pidfd says
 * when, and a group it was in the tree of is removed only after. */
#include "sandbox/remains.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/host.h"
#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#define TRIES 2000
#define PAUSE_NS 1000000
#define FDS_AT_ONCE 6 /* closed in one piece of work */

struct remains *remains_new(struct host *host)
{
    struct remains *remains = calloc(1, sizeof *remains);
    if (remains)
        *remains = (struct remains){.host = host, .init_fd = -1, .init_watch.fd = -1};
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

static void reap(struct remains *remains)
{
    siginfo_t info;
    loop_remove(&remains->host->loop, &remains->init_watch);
    while (waitid(P_PIDFD, (id_t)remains->init_fd, &info, WEXITED) != 0 && errno == EINTR)
        ;
    close(take_fd(&remains->init_fd));
}

static void on_exit_of_init(struct watch *watch, uint32_t events)
{
    (void)events;
    struct remains *remains = watch->owner;
    reap(remains);
    host_has_work(remains->host);
}

/* Removes the group, or gives up and leaves it for the next start's sweep. False = not yet. */
static bool remove_group(struct remains *remains)
{
    struct err err;
    int removed = cgroup_remove(&remains->host->cgroups, &remains->group, &err);
    if (removed == 0 && ++remains->tries < TRIES) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        return false;
    }
    if (removed < 0)
        log_event(LOG_WARN, "group_stays", kv("group", remains->group.name), kv_err(&err));
    else if (removed == 0)
        log_event(LOG_WARN, "group_stays", kv("group", remains->group.name), kv("why", "busy"));
    cgroup_close(&remains->group);
    return true;
}

bool remains_work(struct host *host)
{
    struct remains_list *list = &host->remains;
    struct remains *first = list->first;
    if (!first || first->init_fd >= 0)
        return false;
    if (first->fd_count > 0) {
        for (int i = 0; i < FDS_AT_ONCE && first->fd_count > 0; i++)
            close(first->fds[--first->fd_count]);
        return true;
    }
    if (!remove_group(first))
        return true;
    list->first = first->next;
    if (!list->first)
        list->end = &list->first;
    list->count--;
    free(first);
    return true;
}

/* Waits for the first's init when there is one left. */
static void finish_first(struct host *host)
{
    struct remains *first = host->remains.first;
    if (first->init_fd >= 0)
        reap(first);
    while (host->remains.first == first && remains_work(host))
        ;
}

void remains_leave(struct remains *remains, struct cgroup *group, int *init_fd)
{
    struct host *host = remains->host;
    struct remains_list *list = &host->remains;
    struct err err;
    remains->group = *group;
    *group = (struct cgroup){.dirs = {-1, -1, -1, -1}, .oom_fd = -1};
    remains->init_fd = take_fd(init_fd);
    remains->init_watch = (struct watch){.fd = -1, .ready = on_exit_of_init, .owner = remains};
    if (!list->end)
        list->end = &list->first;
    *list->end = remains;
    list->end = &remains->next;
    list->count++;
    /* It exits by itself after its report; this makes sure. */
    if (remains->init_fd >= 0)
        pidfd_send_signal(remains->init_fd, SIGKILL, NULL, 0);
    if (remains->init_fd >= 0 &&
        loop_add(&host->loop, &remains->init_watch, remains->init_fd, EPOLLIN, &err) != 0) {
        log_event(LOG_ERROR, "watch_failed", kv_err(&err));
        while (list->first)
            finish_first(host);
    }
    while (list->count > REMAINS_MAX)
        finish_first(host);
}

void remains_close(struct host *host)
{
    while (host->remains.first)
        finish_first(host);
}
