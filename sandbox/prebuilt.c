/* Loading what was made ahead. It changes how fast a compiler is, so it must never change what it
 * makes: g++ checks its own version and flags, the JVM its own, but neither looks whether a header
 * was replaced since. So every file it was made of is listed, and has to be older. */
#include "sandbox/prebuilt.h"
#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/harvest.h"
#include "sandbox/mounts.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LIST_BYTES (1 << 20)
#define FILES_BYTES (UINT64_C(512) << 20)

static bool only_root_writes(const struct stat *st)
{
    return st->st_uid == 0 && (st->st_mode & 022) == 0;
}

static int read_list(int dir, struct buf *out, time_t *made, struct err *err)
{
    struct stat st;
    AUTO_FD int file = openat(dir, "inputs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0 || fstat(file, &st) != 0)
        return err_sys(err, ERR_INVALID, "open its list of inputs");
    if (!S_ISREG(st.st_mode) || !only_root_writes(&st) || st.st_size >= LIST_BYTES)
        return err_set(err, ERR_INVALID, "its list of inputs is not root's file of a likely size");
    char *room = buf_reserve(out, (size_t)st.st_size + 1);
    ssize_t got = room ? pread(file, room, (size_t)st.st_size, 0) : -1;
    if (got != st.st_size || got == 0)
        return err_set(err, ERR_INVALID, "its list of inputs is empty or cannot be read");
    buf_grow(out, (size_t)got);
    *made = st.st_mtim.tv_sec;
    return 0;
}

/* ctime: a package's files keep the modification time that they were built with. */
static int check_list(char *list, time_t made, struct err *err)
{
    char *rest = NULL;
    for (char *path = strtok_r(list, "\n", &rest); path; path = strtok_r(NULL, "\n", &rest)) {
        struct stat st;
        if (stat(path, &st) != 0 || st.st_ctim.tv_sec >= made)
            return err_set(err, ERR_INVALID, "%s is newer or gone: run ops/lib/prebuild again",
                           path);
    }
    return 0;
}

static int load(const char *path, struct err *err)
{
    static const struct harvest what = {
        .name = "files", .directory = true, .max_bytes = FILES_BYTES};
    struct harvested took;
    struct stat st;
    time_t made = 0;
    BUF_AUTO struct buf list;
    buf_init(&list, LIST_BYTES);
    AUTO_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0 || fstat(dir, &st) != 0)
        return err_sys(err, ERR_INVALID, "open %s", path);
    if (!only_root_writes(&st))
        return err_set(err, ERR_INVALID, "others than root can write to %s", path);
    if (read_list(dir, &list, &made, err) != 0 || check_list(list.data, made, err) != 0)
        return -1;
    AUTO_FD int mount_fd = mounts_tmpfs(FILES_BYTES, 4096, 0755, err);
    if (mount_fd < 0 || harvest_copy(dir, mount_fd, &what, &took, err) != 0 ||
        mounts_seal(mount_fd, true, err) != 0)
        return -1;
    log_event(LOG_INFO, "prebuilt_loaded", kv("bytes", took.bytes));
    return take_fd(&mount_fd);
}

int prebuilt_load(const char *dir)
{
    struct err err;
    int mount_fd = dir && *dir ? load(dir, &err) : -1;
    if (dir && *dir && mount_fd < 0)
        log_event(LOG_WARN, "prebuilt_not_used", kv_err(&err));
    return mount_fd;
}
