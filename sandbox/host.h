/* What the launcher holds for its whole life: configuration, toolchains, filters, roots, control
 * groups, user ids. Made once by main.c, handed down; nothing in here belongs to a job. */
#pragma once
#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/loop.h"
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
    int null_fd;
    int roots[LANGUAGE_COUNT][2]; /* mount namespaces: run, compile; -1 = none */
    uint64_t serial; /* names control groups */
    uint32_t next_uid;
    uint8_t uids_in_use[HOST_UIDS / 8];
};

/* Takes everything in config into force; ERR_CONFIG names the remedy. */
int host_open(const struct host_config *config, struct host *host, struct err *err) MUST_CHECK;
void host_close(struct host *host);
/* A user id nobody else has; 0 = none left. host_uid_put only when nothing can run under it. */
uid_t host_uid_get(struct host *host);
void host_uid_put(struct host *host, uid_t uid);
