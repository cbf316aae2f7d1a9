/* The compiler ran on hostile input, so what it left is hostile: it is opened beneath its own tmpfs
 * without following any link, only regular files are taken, and size, number and depth are bounded.
 * The copy keeps nothing but the bytes and the names. */
#include "sandbox/harvest.h"
#include "lib/base/cleanup.h"
#include "sandbox/mounts.h"
#include "sandbox/sum.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define TAKEN_MAX 16384 /* not less than the inodes of any compile's /tmp: nobody can pass it */
#define DEPTH_MAX 64
#define SLACK_BYTES (1 << 20)
#define PAGE_BYTES 4096
#define PIECE_BYTES 65536
#define FILE_OVERHEAD 2048 /* of the kernel's memory for a name and an inode */

struct walk {
    uint64_t bytes_left;
    unsigned files_left;
    bool follow;
    struct harvested took;
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

static void count(struct walk *walk, uint64_t bytes, uint64_t sum)
{
    walk->took.files++;
    walk->took.bytes += (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES + FILE_OVERHEAD;
    walk->took.sum += sum; /* the order of a directory is nobody's promise */
}

static int write_piece(int to, const char *piece, size_t len, struct err *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(to, piece + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, ERR_SYSTEM, "copy a compiler's output");
        done += (size_t)n;
    }
    return 0;
}

static int copy_file(int from, int to_dir, const char *name, uint64_t *bytes, uint64_t *sum,
                     struct err *err)
{
    static char piece[PIECE_BYTES];
    AUTO_FD int to =
        openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0555);
    if (to < 0)
        return err_sys(err, ERR_SYSTEM, "create a file for the sandbox");
    for (uint64_t at = 0;;) {
        ssize_t got = pread(from, piece, sizeof piece, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_SYSTEM, "read a compiler's output");
        if (got == 0)
            break;
        *sum = sum_add(*sum, piece, (size_t)got);
        if (write_piece(to, piece, (size_t)got, err) != 0)
            return -1;
        at += (uint64_t)got;
        *bytes = at;
    }
    return fchmod(to, 0555) == 0 ? 0 : err_sys(err, ERR_SYSTEM, "set the mode of a file");
}

static int take_file(int from_dir, int to_dir, const char *name, uint64_t sum, struct walk *walk,
                     struct err *err)
{
    struct stat st;
    uint64_t bytes = 0;
    AUTO_FD int file = open_beneath(from_dir, name, O_RDONLY, walk->follow);
    if (file < 0)
        return unusable("the compiler left no usable output", err);
    if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "the compiler's output is no regular file");
    if (walk->files_left-- == 0)
        return err_set(err, ERR_TOO_LARGE, "the compiler left over %d files", TAKEN_MAX);
    if ((uint64_t)st.st_size > walk->bytes_left)
        return err_set(err, ERR_TOO_LARGE, "the compiler's output is too large");
    walk->bytes_left -= (uint64_t)st.st_size;
    sum = sum_add(sum, name, strlen(name));
    if (copy_file(file, to_dir, name, &bytes, &sum, err) != 0)
        return -1;
    count(walk, bytes, sum);
    return 0;
}

static int take_directory(int from_dir, int to_dir, uint64_t sum, int depth, struct walk *walk,
                          struct err *err);

static int take_below(int from_dir, int to_dir, const char *name, uint64_t sum, int depth,
                      struct walk *walk, struct err *err)
{
    AUTO_FD int from = open_beneath(from_dir, name, O_RDONLY | O_DIRECTORY, walk->follow);
    AUTO_FD int to = -1;
    if (walk->files_left-- == 0)
        return err_set(err, ERR_TOO_LARGE, "the compiler left over %d files", TAKEN_MAX);
    if (from < 0 || mkdirat(to_dir, name, 0755) != 0 ||
        (to = open_beneath(to_dir, name, O_RDONLY | O_DIRECTORY, false)) < 0)
        return unusable("a directory of the compiler's output is unusable", err);
    sum = sum_add(sum, name, strlen(name));
    count(walk, 0, sum);
    return take_directory(from, to, sum, depth + 1, walk, err);
}

static int take_directory(int from_dir, int to_dir, uint64_t sum, int depth, struct walk *walk,
                          struct err *err)
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
        if (entry->d_type == DT_REG)
            result = take_file(from_dir, to_dir, name, sum, walk, err);
        else if (entry->d_type == DT_DIR)
            result = take_below(from_dir, to_dir, name, sum, depth, walk, err);
    }
    closedir(list);
    return result;
}

static int take_tree(int from_dir, int to_dir, const struct harvest *what, struct walk *walk,
                     struct err *err)
{
    AUTO_FD int from =
        open_beneath(from_dir, what->name, O_RDONLY | O_DIRECTORY, what->follow_links);
    AUTO_FD int to = -1;
    if (mkdirat(to_dir, what->name, 0755) != 0 ||
        (to = open_beneath(to_dir, what->name, O_RDONLY | O_DIRECTORY, false)) < 0)
        return err_sys(err, ERR_SYSTEM, "make the program's directory");
    /* None at all is what javac leaves of an empty source. */
    count(walk, 0, SUM_START);
    return from < 0 ? 0 : take_directory(from, to, SUM_START, 0, walk, err);
}

/* ERR_INVALID and ERR_TOO_LARGE are the compiled program's doing. */
int harvest_copy(int from_dir, int to_dir, const struct harvest *what, struct harvested *took,
                 struct err *err)
{
    struct walk walk = {what->max_bytes, TAKEN_MAX, what->follow_links, {0}};
    int result = what->directory ? take_tree(from_dir, to_dir, what, &walk, err)
                                 : take_file(from_dir, to_dir, what->name, SUM_START, &walk, err);
    *took = walk.took;
    return result;
}

/* Room for every file that can be taken, each rounded up to pages, and in the slack for the given
 * ones: the copy never runs out. */
_Static_assert(GIVEN_FILES_BYTES + GIVEN_FILES_MAX * PAGE_BYTES <= SLACK_BYTES, "given files fit");

static int new_box(const struct harvest *what, struct err *err)
{
    return mounts_tmpfs(what->max_bytes + TAKEN_MAX * PAGE_BYTES + SLACK_BYTES,
                        TAKEN_MAX + GIVEN_FILES_MAX * FILE_DEPTH_MAX + 16, 0755, err);
}

int harvest(int tmp_mount, const struct harvest *what, struct harvested *took, struct err *refused,
            struct err *err)
{
    *refused = (struct err){.code = ERR_NONE};
    AUTO_FD int box = new_box(what, err);
    if (box < 0)
        return -1;
    if (harvest_copy(tmp_mount, box, what, took, err) != 0) {
        if (err->code != ERR_INVALID && err->code != ERR_TOO_LARGE)
            return -1;
        *refused = *err;
        close(take_fd(&box));
        box = new_box(what, err); /* all or nothing */
    }
    if (box < 0 ||
        (what->given && given_put(box, what->given, what->from, what->offset, err) != 0) ||
        mounts_seal(box, true, err) != 0)
        return -1;
    return take_fd(&box);
}
