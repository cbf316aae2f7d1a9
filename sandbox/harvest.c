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
#define PAGE_BYTES 4096

struct walk {
    uint64_t bytes_left;
    unsigned files_left;
    bool follow;
};

static int open_beneath(int dir, const char *name, uint64_t flags, bool follow)
{
    if (follow)
        return openat(dir, name, (int)flags | O_CLOEXEC | O_NONBLOCK);
    struct open_how how = {.flags = flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                      RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

/* Whose doing it is that something cannot be opened: the host's when it is short of something. */
static int unusable(const char *text, struct err *err)
{
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
        return err_sys(err, ERR_SYSTEM, "open the compiler's output");
    return err_set(err, ERR_INVALID, "%s", text);
}

static int take_file(int from_dir, int to_dir, const char *name, struct walk *walk, struct err *err)
{
    struct stat st;
    AUTO_FD int file = open_beneath(from_dir, name, O_RDONLY, walk->follow);
    if (file < 0)
        return unusable("the compiler left no usable output", err);
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
        AUTO_FD int from = open_beneath(from_dir, name, O_RDONLY | O_DIRECTORY, walk->follow);
        AUTO_FD int to = -1;
        if (walk->files_left-- == 0)
            result = err_set(err, ERR_TOO_LARGE, "the compiler left over %d files", FILES_MAX);
        else if (from < 0 || mkdirat(to_dir, name, 0755) != 0 ||
                 (to = open_beneath(to_dir, name, O_RDONLY | O_DIRECTORY, false)) < 0)
            result = unusable("a directory of the compiler's output is unusable", err);
        else
            result = take_directory(from, to, depth + 1, walk, err);
    }
    closedir(list);
    return result;
}

/* Takes the output into box. ERR_INVALID and ERR_TOO_LARGE are the compiled program's doing. */
static int take(int tmp_mount, int box, const struct harvest *what, struct err *err)
{
    struct walk walk = {what->max_bytes, FILES_MAX, what->follow_links};
    if (!what->directory)
        return take_file(tmp_mount, box, what->name, &walk, err);
    AUTO_FD int from =
        open_beneath(tmp_mount, what->name, O_RDONLY | O_DIRECTORY, what->follow_links);
    AUTO_FD int to = -1;
    if (mkdirat(box, what->name, 0755) != 0 ||
        (to = open_beneath(box, what->name, O_RDONLY | O_DIRECTORY, false)) < 0)
        return err_sys(err, ERR_SYSTEM, "make the program's directory");
    /* None at all is what javac leaves of an empty source. */
    return from < 0 ? 0 : take_directory(from, to, 0, &walk, err);
}

/* Room for every file that can be taken, each rounded up to pages: the copy never runs out. */
static int new_box(const struct harvest *what, struct err *err)
{
    return mounts_tmpfs(what->max_bytes + FILES_MAX * PAGE_BYTES + SLACK_BYTES, FILES_MAX + 16,
                        0755, err);
}

int harvest(int tmp_mount, const struct harvest *what, struct err *refused, struct err *err)
{
    *refused = (struct err){.code = ERR_NONE};
    AUTO_FD int box = new_box(what, err);
    if (box < 0)
        return -1;
    if (take(tmp_mount, box, what, err) != 0) {
        if (err->code != ERR_INVALID && err->code != ERR_TOO_LARGE)
            return -1;
        *refused = *err;
        close(take_fd(&box));
        box = new_box(what, err); /* all or nothing */
    }
    if (box < 0 || mounts_seal(box, true, err) != 0)
        return -1;
    return take_fd(&box);
}
