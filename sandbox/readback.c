/* The kernel's own account of a payload's isolation. Reads only; the payload waits meanwhile, so
 * its numbers cannot be reused. Nothing here trusts what child.c meant to do. */
#include "sandbox/readback.h"
#include "lib/base/cleanup.h"
#include "lib/base/span.h"
#include "lib/base/strict.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

const char *const host_ns_names[NS_COUNT] = {"pid", "mnt", "net", "ipc", "uts", "cgroup", "user"};

uint32_t readback_required(void)
{
    static const uint32_t required = 0
#define CONTROL(name, needed) | (needed ? 1u << CONTROL_##name : 0u)
#include "schemas/controls.def"
#undef CONTROL
        ;
    return required;
}

int readback_process(pid_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void readback_namespaces(int process, uint64_t out[NS_COUNT])
{
    for (int i = 0; i < NS_COUNT; i++) {
        /* The link's text is "net:[4026531840]"; followed, it would make the kernel an inode. */
        char path[16], text[64];
        unsigned long long number;
        snprintf(path, sizeof path, "ns/%s", host_ns_names[i]);
        ssize_t len = readlinkat(process, path, text, sizeof text - 1);
        text[len > 0 ? len : 0] = '\0';
        const char *bracket = strchr(text, '[');
        out[i] = bracket && sscanf(bracket, "[%llu]", &number) == 1 ? number : 0;
    }
}

static const char *proc_text(int process, const char *file, char *out, size_t size)
{
    if (cgroup_read(process, file, out, size, NULL) != 0)
        out[0] = '\0';
    return out;
}

/* A list comes in as many pieces as the kernel likes. One that does not fit, or that could not be
 * read to its end, is none. */
static char *proc_list(int process, const char *file, char *out, size_t size)
{
    AUTO_FD int fd = openat(process, file, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && used < size - 1)
        if ((got = pread(fd, out + used, size - 1 - used, (off_t)used)) > 0)
            used += (size_t)got;
    out[got == 0 ? used : 0] = '\0';
    return out;
}

/* Whether a line of /proc/PID/status has exactly this value. */
static bool status_is(const char *status, const char *key, const char *value)
{
    const char *line = strstr(status, key);
    if (!line)
        return false;
    line += strlen(key);
    line += strspn(line, " \t");
    size_t len = strcspn(line, "\n");
    while (len > 0 && line[len - 1] == ' ')
        len--;
    return span_eq(span_of(line, len), span_text(value));
}

/* The limit (soft and hard alike) in /proc/PID/limits; prlimit(2) on others needs CAP_SYS_RESOURCE.
 */
static uint64_t limit_of(const char *limits, const char *name)
{
    const char *line = strstr(limits, name);
    unsigned long long soft, hard;
    if (!line || sscanf(line + strlen(name), " %llu %llu", &soft, &hard) != 2 || soft != hard)
        return UINT64_MAX;
    return hard;
}

static bool limits_hold(const struct child_spec *spec, const char *text, struct phase_evidence *out)
{
    const struct limits *asked = &spec->limits;
    out->limits.open_files = limit_of(text, "\nMax open files");
    out->limits.file_bytes = limit_of(text, "\nMax file size");
    out->limits.stack_bytes = limit_of(text, "\nMax stack size");
    return out->limits.open_files == asked->open_files &&
           out->limits.file_bytes == asked->file_bytes &&
           out->limits.stack_bytes == asked->stack_bytes &&
           limit_of(text, "\nMax processes") == child_nproc(asked) &&
           limit_of(text, "\nMax core file size") == 1 &&
           limit_of(text, "\nMax locked memory") == 0 &&
           limit_of(text, "Max cpu time") == (asked->cpu_ms + 999) / 1000 + 1;
}

static bool has_option(const char *options, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = options; (at = strstr(at, name)); at += len)
        if ((at == options || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

/* The next word of a line, "" at its end. */
static const char *word(char **line)
{
    char *begin = *line, *end = begin + strcspn(begin, " ");
    *line = end + (*end != '\0');
    *end = '\0';
    return begin;
}

/* Every mount is read-only, but /tmp, /dev/shm and /proc, which are noexec, nosuid, nodev. */
static bool mounts_hold(char *mountinfo)
{
    bool root_seen = false;
    for (char *line = mountinfo, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        for (int i = 0; i < 4; i++) /* number, parent, device, root */
            (void)word(&line);
        const char *point = word(&line), *options = word(&line);
        if (*options == '\0')
            return false;
        bool open = strcmp(point, "/tmp") == 0 || strcmp(point, "/dev/shm") == 0 ||
                    strcmp(point, "/proc") == 0;
        if (!has_option(options, "nosuid") || (!open && !has_option(options, "ro")) ||
            (open && !(has_option(options, "noexec") && has_option(options, "nodev"))))
            return false;
        root_seen |= strcmp(point, "/") == 0;
    }
    return root_seen;
}

/* Every hierarchy that counts has the payload in the job's own group. */
static bool in_group(const struct host *host, const struct cgroup *group, const char *text)
{
    char suffix[CGROUP_NAME * 2 + 4];
    snprintf(suffix, sizeof suffix, "/rustbox-%u/%s\n", host->cgroups.instance, group->name);
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, suffix)); at += strlen(suffix))
        found++;
    return found >= host->cgroups.backend->job_dirs;
}

static void set(struct evidence *ev, enum control control, bool holds)
{
    uint32_t bit = 1u << control;
    ev->controls_applied = (ev->controls_applied & ~bit) | (holds ? bit : 0);
    ev->controls_missing = (ev->controls_missing & ~bit) | (holds ? 0 : bit);
}

static void check_namespaces(const struct host *host, int payload, struct evidence *ev)
{
    static const struct {
        enum control control;
        size_t number;
    } rows[NS_COUNT] = {
        [NS_PID] = {CONTROL_pid_namespace, offsetof(struct evidence, ns_pid)},
        [NS_MNT] = {CONTROL_mount_namespace, offsetof(struct evidence, ns_mnt)},
        [NS_NET] = {CONTROL_network_namespace, offsetof(struct evidence, ns_net)},
        [NS_IPC] = {CONTROL_ipc_namespace, offsetof(struct evidence, ns_ipc)},
        [NS_UTS] = {CONTROL_uts_namespace, offsetof(struct evidence, ns_uts)},
        [NS_CGROUP] = {CONTROL_cgroup_namespace, offsetof(struct evidence, ns_cgroup)},
        [NS_USER] = {CONTROL_user_namespace, offsetof(struct evidence, ns_user)},
    };
    uint64_t numbers[NS_COUNT];
    readback_namespaces(payload, numbers);
    for (int i = 0; i < NS_COUNT; i++) {
        bool own = numbers[i] != 0 && numbers[i] != host->own_ns[i];
        uint64_t value = own ? numbers[i] : 0;
        memcpy((char *)ev + rows[i].number, &value, sizeof value);
        set(ev, rows[i].control, own);
    }
}

static void check_status(const struct child_spec *spec, pid_t init, const char *status,
                         struct evidence *ev)
{
    static const char none[] = "0000000000000000";
    char parent[16], user[64];
    snprintf(parent, sizeof parent, "%d", (int)init);
    snprintf(user, sizeof user, "%u\t%u\t%u\t%u", spec->uid, spec->uid, spec->uid, spec->uid);
    set(ev, CONTROL_no_new_privileges, status_is(status, "\nNoNewPrivs:", "1"));
    set(ev, CONTROL_seccomp_filter, status_is(status, "\nSeccomp:", "2"));
    set(ev, CONTROL_capabilities_dropped,
        status_is(status, "\nCapInh:", none) && status_is(status, "\nCapPrm:", none) &&
            status_is(status, "\nCapEff:", none) && status_is(status, "\nCapBnd:", none) &&
            status_is(status, "\nCapAmb:", none) && status_is(status, "\nUid:", user) &&
            status_is(status, "\nGid:", user) && status_is(status, "\nGroups:", ""));
    set(ev, CONTROL_process_lifecycle, status_is(status, "\nPPid:", parent) && (ev->ns_pid != 0));
}

void readback_carry(const struct evidence *from, struct evidence *ev)
{
    ev->controls_applied = from->controls_applied;
    ev->controls_missing = from->controls_missing;
    ev->ns_pid = from->ns_pid;
    ev->ns_mnt = from->ns_mnt;
    ev->ns_net = from->ns_net;
    ev->ns_ipc = from->ns_ipc;
    ev->ns_uts = from->ns_uts;
    ev->ns_cgroup = from->ns_cgroup;
    ev->ns_user = from->ns_user;
    memcpy(ev->filter_sha256, from->filter_sha256, sizeof ev->filter_sha256);
}

void readback_box(int root_fd, int box_mount, struct evidence *ev)
{
    const unsigned long wanted = ST_RDONLY | ST_NOSUID | ST_NODEV;
    struct stat given, found;
    struct statfs fs;
    AUTO_FD int box = openat(root_fd, "box", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    bool holds = box >= 0 && fstat(box, &found) == 0 && fstat(box_mount, &given) == 0 &&
                 found.st_dev == given.st_dev && found.st_ino == given.st_ino &&
                 fstatfs(box, &fs) == 0 && ((unsigned long)fs.f_flags & wanted) == wanted;
    if (!holds)
        set(ev, CONTROL_readonly_root, false);
}

void readback_limits(const struct host *host, const struct child_spec *spec, int payload,
                     struct evidence *ev, struct phase_evidence *phase)
{
    char text[8192];
    struct statfs tmp;
    uint64_t cpu;
    const struct cgroup *group = spec->group;
    phase->limits = spec->limits; /* time and output are the launcher's own to enforce */
    set(ev, CONTROL_rlimits,
        limits_hold(spec, proc_text(payload, "limits", text, sizeof text), phase));
    proc_text(payload, "cgroup", text, sizeof text - 1);
    memcpy(text + strlen(text), "\n", 2); /* the last line's end was trimmed */
    bool member = in_group(host, group, text);
    phase->limits.memory_bytes = group->memory_bytes;
    phase->limits.processes = group->processes;
    uint64_t page = 4096;
    set(ev, CONTROL_memory_limit,
        member && group->memory_bytes / page == spec->limits.memory_bytes / page);
    set(ev, CONTROL_process_limit, member && group->processes == spec->limits.processes);
    set(ev, CONTROL_cpu_accounting,
        member && host->cgroups.backend->cpu_ns(group, &cpu, NULL) == 0);
    if (fstatfs(spec->tmp_mount, &tmp) == 0)
        phase->limits.tmp_bytes = (uint64_t)tmp.f_blocks * (uint64_t)tmp.f_bsize;
}

void readback(const struct host *host, const struct child_spec *spec, pid_t init, int payload,
              bool landlock, struct evidence *ev, struct phase_evidence *phase)
{
    char text[16384];
    check_namespaces(host, payload, ev);
    check_status(spec, init, proc_text(payload, "status", text, sizeof text), ev);
    readback_limits(host, spec, payload, ev, phase);
    set(ev, CONTROL_readonly_root, mounts_hold(proc_list(payload, "mountinfo", text, sizeof text)));
    set(ev, CONTROL_landlock, landlock);
}
