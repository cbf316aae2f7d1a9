/* Control groups: one group per phase, below one parent group per launcher.
 *
 * Two backends behind one struct of functions: v1 (memory, pids and cpuacct hierarchies, plus the
 * launcher's share of cpu) and v2 (one tree). Chosen by what the host offers. A group's numbers
 * are the evidence for memory, CPU and process verdicts; limits are read back after setting.
 * Nobody but the launcher ever holds these descriptors. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>

#define CGROUP_DIRS 4
#define CGROUP_HELD 2
#define CGROUP_AHEAD 2
#define CGROUP_PATH 256
#define CGROUP_NAME 32
#define CGROUP_INSTANCES 1024

struct cgroup_usage {
    uint64_t cpu_ns, memory_peak_bytes, oom_kills, pids_peak, pids_denied;
    uint64_t oom_events; /* v2 only; v1 counts them by the oom descriptor */
};

struct cgroup {
    char name[CGROUP_NAME];
    int join[CGROUP_DIRS];            /* who writes "0" here is in */
    int dirs[CGROUP_DIRS];            /* O_PATH; place of each is the backend's; -1 = unused */
    int held[CGROUP_HELD];            /* files that are read more than once; the backend's */
    bool swap;                        /* the host counts swap */
    int oom_fd;                       /* eventfd, readable at an out-of-memory event; -1 on v2 */
    uint64_t memory_bytes, processes; /* as read back */
};

#define CGROUP_NONE                                                                                \
    .join = {-1, -1, -1, -1}, .dirs = {-1, -1, -1, -1}, .held = {-1, -1}, .oom_fd = -1

struct cgroup_backend {
    const char *name; /* "v1", "v2" */
    /* Where the payload, a process of one thread, writes itself. v1's `tasks` moves the calling
     * thread without the lock over all processes, whose RCU grace period takes milliseconds. */
    const char *join_file;
    const char *trees[CGROUP_DIRS + 1]; /* below the base: where a launcher's parent group goes */
    const char *swap_file; /* in the first tree; missing where the kernel does not count swap */
    size_t job_dirs; /* of the trees, how many get a group per phase; the rest are joined as such */
    int (*prepare)(const char *base, char parent[CGROUP_PATH], struct err *err);
    /* Opens what a group of an unknown job is watched by. */
    int (*watch)(struct cgroup *group, struct err *err);
    /* Sets the limits, of which nobody may be over the new ones, and reads them back. */
    int (*limit)(struct cgroup *group, uint64_t memory_bytes, uint64_t processes, struct err *err);
    int (*cpu_ns)(const struct cgroup *group, uint64_t *out, struct err *err);
    int (*usage)(const struct cgroup *group, struct cgroup_usage *out, struct err *err);
    int (*empty)(const struct cgroup *group, bool *out, struct err *err);
};
extern const struct cgroup_backend cgroup_v1, cgroup_v2;

/* The launcher's parent groups. */
struct cgroup_root {
    const struct cgroup_backend *backend;
    char base[CGROUP_PATH]; /* where trees begin: /sys/fs/cgroup, on v2 the launcher's own group */
    unsigned instance;
    bool swap;
    struct cgroup ahead[CGROUP_AHEAD]; /* made before their jobs, each for one; without limits */
    size_t ahead_count;
    uint64_t serial;       /* names groups */
    int dirs[CGROUP_DIRS]; /* [0] carries the lock */
    int join[CGROUP_DIRS]; /* as a group's, of those that all jobs join as they are */
};

/* Finds the backend the host offers below mount ("/sys/fs/cgroup"); ERR_CONFIG with the remedy. */
int cgroup_detect(const char *mount, struct cgroup_root *root, struct err *err) MUST_CHECK;
/* Sweeps the groups of dead launchers (*swept counts), then claims and makes "rustbox-INSTANCE". */
int cgroup_root_open(struct cgroup_root *root, unsigned *swept, struct err *err) MUST_CHECK;
void cgroup_root_close(struct cgroup_root *root); /* removes the parent group when it is empty */

/* A job's groups, fresh, with its limits. */
int cgroup_create(struct cgroup_root *root, uint64_t memory_bytes, uint64_t processes,
                  struct cgroup *out, struct err *err) MUST_CHECK;
/* Makes one if some lack: whether it did. Whoever needs one that could not be made will say so. */
bool cgroup_make_ahead(struct cgroup_root *root);
/* 1 = removed, 0 = still busy (call again later), -1 = error. Closes what it can only once removed.
 */
int cgroup_remove(const struct cgroup_root *root, struct cgroup *group, struct err *err) MUST_CHECK;
void cgroup_close(struct cgroup *group); /* every descriptor, whether it could be removed or not */
/* What a payload gets of its groups, their own and the launcher's: how many. Not taken. */
size_t cgroup_joins(const struct cgroup_root *root, const struct cgroup *group,
                    int out[CGROUP_DIRS]);
/* For the payload, after its fork: joins all groups. 0 or -1 with errno. Async-signal-safe. */
int cgroup_join(const struct cgroup *group) MUST_CHECK;

/* Small files of a group, or of /proc, that the kernel writes as one piece: one read is all. */
int cgroup_read(int dir, const char *file, char *out, size_t size, struct err *err) MUST_CHECK;
/* The same of a file that is open, from its beginning. */
int cgroup_fd_text(int fd, const char *file, char *out, size_t size, struct err *err) MUST_CHECK;
int cgroup_fd_u64(int fd, const char *file, uint64_t *out, struct err *err) MUST_CHECK;
int cgroup_read_u64(int dir, const char *file, uint64_t *out, struct err *err) MUST_CHECK;
int cgroup_write(int dir, const char *file, const char *text, struct err *err) MUST_CHECK;
/* Writes a number and reads it back into *out; ERR_SYSTEM when the kernel holds another one. */
int cgroup_set_u64(int dir, const char *file, uint64_t value, uint64_t *out,
                   struct err *err) MUST_CHECK;
/* The number after `key ` in a file of "key value" lines; 0 when the key is missing. */
uint64_t cgroup_key(const char *text, const char *key);
