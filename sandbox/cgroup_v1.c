/* Control groups v1: separate hierarchies for memory, pids and cpuacct with a group per phase; the
 * cpu hierarchy has one group for all jobs of a launcher, so that jobs together weigh as much as
 * one service. The freezer is not used: the init inside the job's pid namespace kills the whole
 * job at once. v1 has no memory.oom.group; oom_fd tells the launcher of the first event. */
#include "lib/base/cleanup.h"
#include "sandbox/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#define SWAP_FILE "memory.memsw.limit_in_bytes"

enum { DIR_MEMORY, DIR_PIDS, DIR_CPUACCT };
enum { HELD_OOM, HELD_CPU };

static int v1_prepare(const char *base, char parent[CGROUP_PATH], struct err *err)
{
    static const char *const needed[] = {"memory/memory.limit_in_bytes", "pids/cgroup.procs",
                                         "cpuacct/cpuacct.usage", "cpu/cpu.shares"};
    snprintf(parent, CGROUP_PATH, "%s", base);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        char path[CGROUP_PATH * 2];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", base, needed[i]);
        if (stat(path, &st) != 0)
            return err_set(err, ERR_CONFIG, "%s is missing: mount that controller", path);
    }
    return 0;
}

/* Subscribes an eventfd to memory.oom_control. */
static int watch_oom(struct cgroup *group, struct err *err)
{
    int control = openat(group->dirs[DIR_MEMORY], "memory.oom_control", O_RDONLY | O_CLOEXEC);
    if (control < 0)
        return err_sys(err, ERR_SYSTEM, "open memory.oom_control");
    group->held[HELD_OOM] = control;
    group->oom_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (group->oom_fd < 0)
        return err_sys(err, ERR_SYSTEM, "eventfd");
    char text[32];
    snprintf(text, sizeof text, "%d %d", group->oom_fd, control);
    return cgroup_write(group->dirs[DIR_MEMORY], "cgroup.event_control", text, err);
}

static int set_memory(struct cgroup *group, uint64_t bytes, struct err *err)
{
    int dir = group->dirs[DIR_MEMORY];
    uint64_t held;
    if (cgroup_set_u64(dir, "memory.limit_in_bytes", bytes, &group->memory_bytes, err) != 0)
        return -1;
    /* Without swap accounting the group must not swap at all, else the limit would not bind. */
    if (group->swap)
        return cgroup_set_u64(dir, SWAP_FILE, bytes, &held, err);
    return cgroup_set_u64(dir, "memory.swappiness", 0, &held, err);
}

static int v1_limit(struct cgroup *group, uint64_t memory_bytes, uint64_t processes,
                    struct err *err)
{
    if (set_memory(group, memory_bytes, err) != 0)
        return -1;
    return cgroup_set_u64(group->dirs[DIR_PIDS], "pids.max", processes, &group->processes, err);
}

static int v1_watch(struct cgroup *group, struct err *err)
{
    group->held[HELD_CPU] = openat(group->dirs[DIR_CPUACCT], "cpuacct.usage", O_RDONLY | O_CLOEXEC);
    if (group->held[HELD_CPU] < 0)
        return err_sys(err, ERR_SYSTEM, "open cpuacct.usage");
    return watch_oom(group, err);
}

static int v1_cpu_ns(const struct cgroup *group, uint64_t *out, struct err *err)
{
    return cgroup_fd_u64(group->held[HELD_CPU], "cpuacct.usage", out, err);
}

static int v1_usage(const struct cgroup *group, struct cgroup_usage *out, struct err *err)
{
    char text[512];
    *out = (struct cgroup_usage){0};
    if (v1_cpu_ns(group, &out->cpu_ns, err) != 0 ||
        cgroup_read_u64(group->dirs[DIR_MEMORY], "memory.max_usage_in_bytes",
                        &out->memory_peak_bytes, err) != 0 ||
        cgroup_fd_text(group->held[HELD_OOM], "memory.oom_control", text, sizeof text, err) != 0)
        return -1;
    if (!strstr(text, "oom_kill "))
        return err_set(err, ERR_SYSTEM, "memory.oom_control has no oom_kill count");
    out->oom_kills = cgroup_key(text, "oom_kill");
    if (cgroup_read(group->dirs[DIR_PIDS], "pids.events", text, sizeof text, err) != 0)
        return -1;
    out->pids_denied = cgroup_key(text, "max");
    /* pids.peak is newer than some v1 kernels: 0 = not measured. */
    if (cgroup_read_u64(group->dirs[DIR_PIDS], "pids.peak", &out->pids_peak, NULL) != 0)
        out->pids_peak = 0;
    return 0;
}

static int v1_empty(const struct cgroup *group, bool *out, struct err *err)
{
    /* A process counts until it is reaped. Reading cgroup.procs costs three times as much and
     * leaves the kernel a list to throw away later. */
    uint64_t count;
    if (cgroup_read_u64(group->dirs[DIR_PIDS], "pids.current", &count, err) != 0)
        return -1;
    *out = count == 0;
    return 0;
}

const struct cgroup_backend cgroup_v1 = {
    .name = "v1",
    .join_file = "tasks",
    .trees = {"memory", "pids", "cpuacct", "cpu"},
    .swap_file = SWAP_FILE,
    .job_dirs = 3,
    .prepare = v1_prepare,
    .watch = v1_watch,
    .limit = v1_limit,
    .cpu_ns = v1_cpu_ns,
    .usage = v1_usage,
    .empty = v1_empty,
};
