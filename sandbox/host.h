/* What the launcher holds for its whole life: configuration, toolchains, filters, roots, control
 * groups, user ids. Made once by main.c, handed down; nothing in here belongs to a job. */
#pragma once
#include "sandbox/cache.h"
#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/loop.h"
#include "sandbox/maker.h"
#include "sandbox/remains.h"
#include "sandbox/toolchains.h"
#include "schemas/evidence.h"
#include <sys/types.h>

#define HOST_UIDS 65536
#define HOST_UID_FIRST 1900000000u /* instance N uses HOST_UIDS ids from here + N * HOST_UIDS */
#define HOST_PATH 108

struct host_config {
    char socket_path[HOST_PATH], state_dir[HOST_PATH];
    uint32_t slots;
    uid_t allowed_uid;
    gid_t socket_gid;
    bool permissive;
    char prebuilt[HOST_PATH]; /* directory of what was made ahead; "" = none */
    struct cache_limits cache;
    bool template_python; /* run Python in forks of a template where that is possible */
    uint32_t template_jobs, template_minutes; /* when a template is replaced */
    uint32_t rest_ms;    /* without a job, before work that was put off is done */
    uint32_t warm;       /* sandboxes kept ready for each language that was asked for; 0 = none */
    uint32_t layers_off; /* enum child_layer, test builds only */
};

enum host_ns { NS_PID, NS_MNT, NS_NET, NS_IPC, NS_UTS, NS_CGROUP, NS_USER, NS_COUNT };
extern const char *const host_ns_names[NS_COUNT]; /* as below /proc/PID/ns */

struct host {
    struct host_config config;
    struct loop loop;
    struct cgroup_root cgroups;
    struct toolchain toolchains[LANGUAGE_COUNT];
    struct filter filters[FILTER_FAMILY_COUNT];
    uint64_t own_ns[NS_COUNT];
    uint32_t controls; /* bits that a trial sandbox showed in force */
    unsigned cores;
    int landlock_abi;                /* 0 = the kernel has none */
    int prebuilt;                    /* a copy of that; -1 = none in use */
    int null_fd, home_ns;            /* /dev/null; the launcher's own mount namespace */
    int last_pid;                    /* ns_last_pid, for inits that stay; -1: none does */
    int roots[LANGUAGE_COUNT][2];    /* mount namespaces: run, compile; -1 = none */
    struct maker maker;              /* clones the inits */
    struct cache *cache;             /* NULL = no compile cache */
    struct template_pool *templates; /* NULL = no template tier */
    struct warm_pool *warm;          /* NULL = no warm tier */
    struct remains_list remains;     /* taken down when there is nothing else to do */
    void (*room)(void *);            /* called when jobs may start again (remains.h); NULL = none */
    void *room_context;
    uint32_t idle_sandboxes;       /* of all shelves */
    int64_t rest_until_ns;         /* put-off work waits until then */
    uint32_t busy;                 /* phases that have a job: put-off work waits for their end */
    uint64_t phases, built_serial; /* counted; names what was built */
    uint32_t next_uid;
    uint8_t uids_in_use[HOST_UIDS / 8];
};

/* Takes everything in config into force; ERR_CONFIG names the remedy. */
int host_open(const struct host_config *config, struct host *host, struct err *err) MUST_CHECK;
void host_close(struct host *host);
bool host_idle(void *context); /* one piece of put-off work; false = nothing is left */
void host_has_work(struct host *host);
void host_rest(struct host *host); /* when the last job has ended */
/* Makes what is kept ahead of sandboxes, if some lack: whether it did. */
bool host_replenish(struct host *host);
/* A user id nobody else has; 0 = none left. host_uid_put only when nothing can run under it. */
uid_t host_uid_get(struct host *host);
void host_uid_put(struct host *host, uid_t uid);
