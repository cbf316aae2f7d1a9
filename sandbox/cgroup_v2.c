/* Control groups v2: one tree. The launcher's service needs a delegated group of its own
 * (systemd: Delegate=yes). v2 forbids processes in a group that hands controllers down, so the
 * launcher first moves itself into a leaf beside its jobs. memory.oom.group makes the kernel kill
 * the whole job at the first out-of-memory event. */
#include "lib/base/cleanup.h"
#include "sandbox/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SWAP_FILE "memory.swap.max"
#define LEAF "rustbox-launcher" /* where the launcher itself goes, beside its jobs */

/* The path of the calling process in the v2 tree, from /proc/self/cgroup ("0::/path"). */
static int own_path(char *out, size_t size, struct err *err)
{
    char text[2048];
    if (cgroup_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof text, err) != 0)
        return -1;
    char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return err_set(err, ERR_CONFIG, "this process is in no v2 control group");
    line = strstr(line, "0::") + 3;
    line[strcspn(line, "\n")] = '\0';
    snprintf(out, size, "%s", strcmp(line, "/") == 0 ? "" : line);
    return 0;
}

/* Whether a list of words separated by blanks has this one: "cpu" is not in "cpuset". */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

static int check_controllers(int dir, const char *path, struct err *err)
{
    static const char *const needed[] = {"memory", "pids", "cpu"};
    char text[512];
    if (cgroup_read(dir, "cgroup.controllers", text, sizeof text, NULL) != 0)
        return err_set(err, ERR_CONFIG, "%s is no v2 group", path);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!has_word(text, needed[i]))
            return err_set(err, ERR_CONFIG, "%s lacks %s: delegate it (systemd: Delegate=yes)",
                           path, needed[i]);
    return 0;
}

/* Moves the launcher into a leaf of its group. 1 = left, 0 = others stay in the group, so that it
 * cannot hand controllers down; the launcher is back in it then. */
static int leave_group(int dir, struct err *err)
{
    char others[64];
    if (mkdirat(dir, LEAF, 0755) != 0 && errno != EEXIST)
        return err_sys(err, ERR_CONFIG, "make a control group for the launcher (Delegate=yes?)");
    if (cgroup_write(dir, LEAF "/cgroup.procs", "0", err) != 0 ||
        cgroup_read(dir, "cgroup.procs", others, sizeof others, err) != 0)
        return -1;
    if (others[0] == '\0')
        return 1;
    if (cgroup_write(dir, "cgroup.procs", "0", err) != 0)
        return -1;
    unlinkat(dir, LEAF, AT_REMOVEDIR);
    return 0;
}

/* Only the tree's real root has no such file; it alone may hold processes and hand down too. */
static bool is_root(int dir)
{
    return faccessat(dir, "cgroup.events", F_OK, 0) != 0;
}

static int v2_prepare(const char *base, char parent[CGROUP_PATH], struct err *err)
{
    char own[CGROUP_PATH] = "";
    AUTO_FD int top = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0 || faccessat(top, "cgroup.controllers", F_OK, 0) != 0)
        return err_set(err, ERR_CONFIG, "%s is no v2 tree", base);
    if (own_path(own, sizeof own, err) != 0)
        return -1;
    /* After a restart inside the same service the launcher starts in the leaf again. */
    size_t len = strlen(own), leaf = strlen("/" LEAF);
    if (len >= leaf && strcmp(own + len - leaf, "/" LEAF) == 0)
        own[len - leaf] = '\0';
    if (snprintf(parent, CGROUP_PATH, "%s%s", base, own) >= CGROUP_PATH)
        return err_set(err, ERR_CONFIG, "control group path is over %d bytes", CGROUP_PATH);
    AUTO_FD int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, ERR_CONFIG, "open %s", parent);
    if (check_controllers(dir, parent, err) != 0)
        return -1;
    int left = is_root(dir) ? 1 : leave_group(dir, err);
    if (left < 0)
        return -1;
    if (left == 0 && !is_root(top))
        return err_set(err, ERR_CONFIG,
                       "%s has other processes: start the launcher in a group of its own", parent);
    if (left == 0) {
        /* A shell or supervisor shares the group, as under runit: the jobs' groups go into the
         * tree's root, which is the host's as no namespace hides it. */
        snprintf(parent, CGROUP_PATH, "%s", base);
        if (check_controllers(top, base, err) != 0)
            return -1;
    }
    if (cgroup_write(left ? dir : top, "cgroup.subtree_control", "+memory +pids +cpu", err) != 0)
        return err_wrap(err, "delegate controllers in %s (systemd: Delegate=yes)", parent);
    return 0;
}

static int v2_limit(struct cgroup *group, uint64_t memory_bytes, uint64_t processes,
                    struct err *err)
{
    int dir = group->dirs[0];
    uint64_t held;
    if (cgroup_set_u64(dir, "memory.max", memory_bytes, &group->memory_bytes, err) != 0 ||
        cgroup_set_u64(dir, "memory.oom.group", 1, &held, err) != 0)
        return -1;
    /* The file is missing when the kernel has no swap at all: then nothing can be swapped. */
    if (group->swap && cgroup_set_u64(dir, SWAP_FILE, 0, &held, err) != 0)
        return -1;
    return cgroup_set_u64(dir, "pids.max", processes, &group->processes, err);
}

static int v2_cpu_ns(const struct cgroup *group, uint64_t *out, struct err *err)
{
    char text[1024];
    if (cgroup_read(group->dirs[0], "cpu.stat", text, sizeof text, err) != 0)
        return -1;
    if (!strstr(text, "usage_usec "))
        return err_set(err, ERR_SYSTEM, "cpu.stat has no usage_usec");
    *out = cgroup_key(text, "usage_usec") * 1000;
    return 0;
}

static int v2_usage(const struct cgroup *group, struct cgroup_usage *out, struct err *err)
{
    char text[1024];
    int dir = group->dirs[0];
    *out = (struct cgroup_usage){0};
    if (v2_cpu_ns(group, &out->cpu_ns, err) != 0 ||
        cgroup_read(dir, "memory.events", text, sizeof text, err) != 0)
        return -1;
    if (!strstr(text, "oom_kill "))
        return err_set(err, ERR_SYSTEM, "memory.events has no oom_kill count");
    out->oom_events = cgroup_key(text, "oom");
    out->oom_kills = cgroup_key(text, "oom_kill");
    if (cgroup_read(dir, "pids.events", text, sizeof text, err) != 0)
        return -1;
    out->pids_denied = cgroup_key(text, "max");
    /* The peaks are newer than some kernels (memory 5.19, pids 6.1): 0 = not measured. */
    if (cgroup_read_u64(dir, "memory.peak", &out->memory_peak_bytes, NULL) != 0)
        out->memory_peak_bytes = 0;
    if (cgroup_read_u64(dir, "pids.peak", &out->pids_peak, NULL) != 0)
        out->pids_peak = 0;
    return 0;
}

static int v2_empty(const struct cgroup *group, bool *out, struct err *err)
{
    char text[256];
    if (cgroup_read(group->dirs[0], "cgroup.events", text, sizeof text, err) != 0)
        return -1;
    if (!strstr(text, "populated "))
        return err_set(err, ERR_SYSTEM, "cgroup.events has no populated line");
    *out = cgroup_key(text, "populated") == 0;
    return 0;
}

const struct cgroup_backend cgroup_v2 = {
    .name = "v2",
    .join_file = "cgroup.procs",
    .trees = {"."},
    .swap_file = SWAP_FILE,
    .job_dirs = 1,
    .prepare = v2_prepare,
    .limit = v2_limit,
    .cpu_ns = v2_cpu_ns,
    .usage = v2_usage,
    .empty = v2_empty,
};
