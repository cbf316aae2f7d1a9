/* The compiler ran on hostile input, so what it left is hostile: it is opened beneath its own tmpfs
 * without following any link, only regular files are taken, and size, number and depth are bounded.
 * The copy keeps nothing but the bytes and the names. */
#include "sandbox/harvest.h"
#include "lib/base/cleanup.h"
#include "sandbox/mounts.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FILES_MAX 16384 /* not less than the inodes of any compile's /tmp: nobody can pass it */
#define DEPTH_MAX 64
#define SLACK_BYTES (1 << 20)

struct walk {
    uint64_t bytes_left;
    unsigned files_left;
};

static int open_beneath(int dir, const char *name, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                      RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

static int take_file(int from_dir, int to_dir, const char *name, struct walk *walk, struct err *err)
{
    struct stat st;
    AUTO_FD int file = open_beneath(from_dir, name, O_RDONLY);
    if (file < 0)
        return err_set(err, ERR_INVALID, "the compiler left no usable output");
    if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "the compiler's output is no regular file");
    if (walk->files_left-- == 0)
        return err_set(err, ERR_TOO_LARGE, "the compiler left over %d files", FILES_MAX);
    if ((uint64_t)st.st_size > walk->bytes_left)
        return err_set(err, ERR_TOO_LARGE, "the compiler's output is too large");
    walk->bytes_left -= (uint64_t)st.st_size;
    return mounts_copy(to_dir, name, file, (uint64_t)st.st_size, 0555, err);
}

static int take_directory(int from_dir, int to_dir, int depth, struct walk *walk, struct err *err)
{
    if (depth > DEPTH_MAX)
        return 0; /* left out: the program may miss its classes, the service must not fail */
    int copy = dup(from_dir);
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (!list)
        return err_sys(err, ERR_SYSTEM, "list the compiler's output");
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(list));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (entry->d_type != DT_DIR && entry->d_type != DT_REG)
            continue;
        if (entry->d_type == DT_REG) {
            result = take_file(from_dir, to_dir, name, walk, err);
            continue;
        }
        AUTO_FD int from = open_beneath(from_dir, name, O_RDONLY | O_DIRECTORY);
        AUTO_FD int to = -1;
        if (walk->files_left-- == 0 || from < 0 || mkdirat(to_dir, name, 0755) != 0 ||
            (to = open_beneath(to_dir, name, O_RDONLY | O_DIRECTORY)) < 0)
            result = err_set(err, ERR_INVALID, "a directory of the compiler's output is unusable");
        else
            result = take_directory(from, to, depth + 1, walk, err);
    }
    closedir(list);
    return result;
}

int harvest(int tmp_mount, const char *name, bool directory, uint64_t max_bytes, struct err *err)
{
    struct walk walk = {max_bytes, FILES_MAX};
    AUTO_FD int box = mounts_tmpfs(max_bytes + SLACK_BYTES, FILES_MAX + 16, 0755, err);
    if (box < 0)
        return -1;
    int result;
    if (directory) {
        AUTO_FD int from = open_beneath(tmp_mount, name, O_RDONLY | O_DIRECTORY);
        AUTO_FD int to = -1;
        if (mkdirat(box, name, 0755) != 0 ||
            (to = open_beneath(box, name, O_RDONLY | O_DIRECTORY)) < 0)
            return err_sys(err, ERR_SYSTEM, "make the program's directory");
        /* None at all is what javac leaves of an empty source. */
        result = from < 0 ? 0 : take_directory(from, to, 0, &walk, err);
    } else {
        result = take_file(tmp_mount, box, name, &walk, err);
    }
    if (result != 0 || mounts_seal(box, true, err) != 0)
        return -1;
    return take_fd(&box);
}
