/* What is left of a sandbox whose report is complete: an init on its way out, an empty control
 * group, namespaces and mounts. Nobody waits for their end, so it comes while no job runs, the
 * oldest first; beyond REMAINS_KEPT also beside jobs, when a program has just begun, and beyond
 * REMAINS_HERE at once. What is not at its end yet, an init that has not exited or a group that is
 * still busy, is passed over, never waited for; when REMAINS_MAX are left, the launcher starts no
 * job until there are fewer. Nothing in here is used again: the user id goes back when its group is
 * seen empty, which is before. */
#pragma once
#include "sandbox/cgroup.h"
#include "sandbox/loop.h"

#define REMAINS_KEPT 4
#define REMAINS_HERE 8
#define REMAINS_MAX 32
#define REMAINS_FDS 16

struct host;

struct remains {
    struct remains *next;
    struct host *host;
    struct cgroup group;
    int init_fd;
    unsigned tries;
    int64_t busy_until_ns; /* the init had not exited or the group was busy: not before */
    int fds[REMAINS_FDS];
    size_t fd_count;
};

struct remains_list {
    struct remains *first, **end;
    size_t count;
    struct watch timer; /* for those that are busy, and for the host's rest */
    int timer_fd;
};

int remains_open(struct host *host, struct err *err) MUST_CHECK;
/* Everything; waits for inits, which were killed. */
void remains_close(struct host *host);
/* The same, and more may come. */
void remains_finish(struct host *host);
/* Memory for one, taken before there is anything to leave; NULL = none. */
struct remains *remains_new(struct host *host);
/* Takes a descriptor; -1 is nothing. */
void remains_fd(struct remains *remains, int *fd);
/* Takes the group and the init (-1 = reaped already) and lists it. */
void remains_leave(struct remains *remains, struct cgroup *group, int *init_fd);
/* Takes down what is more than REMAINS_KEPT, if it is at its end. */
void remains_trim(struct host *host);
/* One piece of work; false = there is none, or all that is left waits. */
bool remains_work(struct host *host);
/* Looks again at that time (CLOCK_MONOTONIC). */
int remains_later(struct host *host, int64_t at_ns, struct err *err) MUST_CHECK;
/* Whether no job may start. When that ends, host->room is called. */
bool remains_full(const struct host *host);
