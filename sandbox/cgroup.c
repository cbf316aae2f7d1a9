/* What both control group backends share: making, joining and removing groups, and reading
 * and writing their small files. The launcher's parent groups: cgroup_root.c. */
#include "sandbox/cgroup.h"
#include "lib/base/cleanup.h"
#include "lib/base/span.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int cgroup_fd_text(int fd, const char *file, char *out, size_t size, struct err *err)
{
    ssize_t got = pread(fd, out, size - 1, 0);
    if (got < 0)
        return err_sys(err, ERR_SYSTEM, "read %s of a control group", file);
    size_t used = (size_t)got;
    while (used > 0 && isspace((unsigned char)out[used - 1]))
        used--;
    out[used] = '\0';
    return 0;
}

int cgroup_read(int dir, const char *file, char *out, size_t size, struct err *err)
{
    AUTO_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "open %s of a control group", file);
    return cgroup_fd_text(fd, file, out, size, err);
}

/* A number and a newline come in one piece. */
int cgroup_fd_u64(int fd, const char *file, uint64_t *out, struct err *err)
{
    char text[64];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    if (got < 0)
        return err_sys(err, ERR_SYSTEM, "read %s of a control group", file);
    while (got > 0 && isspace((unsigned char)text[got - 1]))
        got--;
    text[got] = '\0';
    if (strcmp(text, "max") == 0)
        *out = UINT64_MAX;
    else if (span_u64(span_text(text), out) != 0)
        return err_set(err, ERR_SYSTEM, "%s of a control group is not a number", file);
    return 0;
}

int cgroup_read_u64(int dir, const char *file, uint64_t *out, struct err *err)
{
    AUTO_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "open %s of a control group", file);
    return cgroup_fd_u64(fd, file, out, err);
}

static int write_text(int fd, const char *file, const char *text, struct err *err)
{
    ssize_t wrote;
    do /* lowering a memory limit reclaims, and a signal ends that */
        wrote = write(fd, text, strlen(text));
    while (wrote < 0 && errno == EINTR);
    if (wrote < 0)
        return err_sys(err, ERR_SYSTEM, "write %s to %s of a control group", text, file);
    return 0;
}

int cgroup_write(int dir, const char *file, const char *text, struct err *err)
{
    AUTO_FD int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "open %s of a control group", file);
    return write_text(fd, file, text, err);
}

int cgroup_set_u64(int dir, const char *file, uint64_t value, uint64_t *out, struct err *err)
{
    AUTO_FD int fd = openat(dir, file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "open %s of a control group", file);
    char text[32];
    uint64_t page = 4096; /* limits of memory are rounded down to pages */
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    if (write_text(fd, file, text, err) != 0 || cgroup_fd_u64(fd, file, out, err) != 0)
        return -1;
    if (*out != value && *out != value / page * page)
        return err_set(err, ERR_SYSTEM, "%s of a control group is %llu after %llu was set", file,
                       (unsigned long long)*out, (unsigned long long)value);
    return 0;
}

uint64_t cgroup_key(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && line[len] == ' ')
            return strtoull(line + len + 1, NULL, 10);
    }
    return 0;
}

static int open_dir(int at, const char *path)
{
    return openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* The group in one tree. */
static int make_one(const struct cgroup_root *root, size_t i, struct cgroup *out, struct err *err)
{
    const char *tree = root->backend->trees[i];
    if (mkdirat(root->dirs[i], out->name, 0755) != 0)
        return err_sys(err, ERR_SYSTEM, "make a control group for a job (%s)", tree);
    if ((out->dirs[i] = open_dir(root->dirs[i], out->name)) < 0) {
        (void)err_sys(err, ERR_SYSTEM, "open a job's control group");
        unlinkat(root->dirs[i], out->name, AT_REMOVEDIR); /* cgroup_remove needs it open */
        return -1;
    }
    out->join[i] = openat(out->dirs[i], root->backend->join_file, O_WRONLY | O_CLOEXEC);
    return out->join[i] >= 0 ? 0
                             : err_sys(err, ERR_SYSTEM, "open a job's control group (%s)", tree);
}

static int make(struct cgroup_root *root, struct cgroup *out, struct err *err)
{
    *out = (struct cgroup){CGROUP_NONE, .swap = root->swap};
    snprintf(out->name, sizeof out->name, "job-%llu", (unsigned long long)++root->serial);
    const struct cgroup_backend *backend = root->backend;
    for (size_t i = 0; i < backend->job_dirs; i++)
        if (make_one(root, i, out, err) != 0)
            return -1;
    return backend->watch ? backend->watch(out, err) : 0;
}

int cgroup_create(struct cgroup_root *root, uint64_t memory_bytes, uint64_t processes,
                  struct cgroup *out, struct err *err)
{
    if (root->ahead_count > 0)
        *out = root->ahead[--root->ahead_count];
    else if (make(root, out, err) != 0)
        return -1;
    return root->backend->limit(out, memory_bytes, processes, err);
}

bool cgroup_make_ahead(struct cgroup_root *root)
{
    struct err err;
    struct cgroup *group = &root->ahead[root->ahead_count];
    if (root->ahead_count == CGROUP_AHEAD)
        return false;
    if (make(root, group, &err) == 0) {
        root->ahead_count++;
        return true;
    }
    if (cgroup_remove(root, group, &err) != 1)
        cgroup_close(group);
    return false;
}

static void close_files(struct cgroup *group)
{
    cleanup_fd(&group->oom_fd);
    group->oom_fd = -1;
    for (size_t i = 0; i < CGROUP_HELD; i++) {
        cleanup_fd(&group->held[i]);
        group->held[i] = -1;
    }
    for (size_t i = 0; i < CGROUP_DIRS; i++) {
        cleanup_fd(&group->join[i]);
        group->join[i] = -1;
    }
}

int cgroup_remove(const struct cgroup_root *root, struct cgroup *group, struct err *err)
{
    close_files(group);
    for (size_t i = 0; i < CGROUP_DIRS; i++) {
        if (group->dirs[i] < 0)
            continue;
        if (unlinkat(root->dirs[i], group->name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
            if (errno == EBUSY)
                return 0;
            return err_sys(err, ERR_SYSTEM, "remove a job's control group");
        }
        close(group->dirs[i]);
        group->dirs[i] = -1;
    }
    return 1;
}

void cgroup_close(struct cgroup *group)
{
    close_files(group);
    for (size_t i = 0; i < CGROUP_DIRS; i++) {
        cleanup_fd(&group->dirs[i]);
        group->dirs[i] = -1;
    }
}

size_t cgroup_joins(const struct cgroup_root *root, const struct cgroup *group,
                    int out[CGROUP_DIRS])
{
    size_t count = 0;
    for (size_t i = 0; i < CGROUP_DIRS; i++) {
        int fd = group->join[i] >= 0 ? group->join[i] : root->join[i];
        if (fd >= 0)
            out[count++] = fd;
    }
    return count;
}

int cgroup_join(const struct cgroup *group)
{
    for (size_t i = 0; i < CGROUP_DIRS; i++)
        if (group->join[i] >= 0 && write(group->join[i], "0", 1) != 1)
            return -1;
    return 0;
}
