/* Read-only roots and per-phase tmpfs, with the mount API on descriptors: nothing here depends on
 * a path that a job could write. */
#include "sandbox/mounts.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static int config(int fs, const char *key, uint64_t value, bool octal)
{
    char text[32];
    if (octal)
        snprintf(text, sizeof text, "%llo", (unsigned long long)value);
    else
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0);
}

static int make_tmpfs(uint64_t bytes, uint64_t inodes, unsigned mode, unsigned attributes,
                      struct err *err)
{
    AUTO_FD int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", "tmpfs", 0) != 0 ||
        config(fs, "size", bytes, false) != 0 || config(fs, "nr_inodes", inodes, false) != 0 ||
        config(fs, "mode", mode, true) != 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return err_sys(err, ERR_SYSTEM, "make a tmpfs");
    int mount_fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    return mount_fd >= 0 ? mount_fd : err_sys(err, ERR_SYSTEM, "mount a tmpfs");
}

int mounts_tmpfs(uint64_t bytes, uint64_t inodes, unsigned mode, struct err *err)
{
    return make_tmpfs(bytes, inodes, mode, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                      err);
}

static int set_attributes(int mount_fd, uint64_t set, uint64_t clear, struct err *err)
{
    struct mount_attr attr = {.attr_set = set, .attr_clr = clear};
    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
        return err_sys(err, ERR_SYSTEM, "set mount attributes");
    return 0;
}

int mounts_seal(int mount_fd, bool executable, struct err *err)
{
    return set_attributes(mount_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
                          executable ? MOUNT_ATTR_NOEXEC : 0, err);
}

int mounts_exec(int mount_fd, struct err *err)
{
    return set_attributes(mount_fd, 0, MOUNT_ATTR_NOEXEC, err);
}

int mounts_writable(int mount_fd, struct err *err)
{
    return set_attributes(mount_fd, 0, MOUNT_ATTR_RDONLY, err);
}

int mounts_copy_all(int to, int from, uint64_t max_bytes, struct err *err)
{
    off_t offset = 0;
    for (;;) {
        ssize_t n = sendfile(to, from, &offset, 1 << 20);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, ERR_SYSTEM, "copy a file into the sandbox");
        if (n == 0)
            return 0;
        if ((uint64_t)offset > max_bytes)
            return err_set(err, ERR_TOO_LARGE, "a file for the sandbox is over %llu bytes",
                           (unsigned long long)max_bytes);
    }
}

int mounts_copy(int dir, const char *name, int from, uint64_t max_bytes, mode_t mode,
                struct err *err)
{
    AUTO_FD int to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (to < 0)
        return err_sys(err, ERR_SYSTEM, "create a file for the sandbox");
    if (mounts_copy_all(to, from, max_bytes, err) != 0)
        return -1;
    if (fchmod(to, mode) != 0)
        return err_sys(err, ERR_SYSTEM, "set the mode of a file for the sandbox");
    return 0;
}

int mounts_copy_part(int dir, const char *name, int from, uint64_t offset, uint64_t bytes,
                     mode_t mode, struct err *err)
{
    AUTO_FD int to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (to < 0)
        return err_sys(err, ERR_SYSTEM, "create a file for the sandbox");
    off_t at = (off_t)offset;
    while (bytes > 0) {
        ssize_t n = sendfile(to, from, &at, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, ERR_SYSTEM, "copy a file into the sandbox");
        if (n == 0)
            return err_set(err, ERR_INVALID, "a job's files end before their sizes");
        bytes -= (uint64_t)n;
    }
    if (fchmod(to, mode) != 0)
        return err_sys(err, ERR_SYSTEM, "set the mode of a file for the sandbox");
    return 0;
}

int mounts_private(const char *dir, struct err *err)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_sys(err, ERR_CONFIG, "make the state directory %s", dir);
    if (unshare(CLONE_NEWNS) != 0)
        return err_sys(err, ERR_CONFIG, "unshare the mount namespace (the launcher runs as root)");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return err_sys(err, ERR_CONFIG, "make all mounts private");
    if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=1m,mode=700") != 0)
        return err_sys(err, ERR_CONFIG, "mount a tmpfs on %s", dir);
    return 0;
}

static int make_devices(int dir)
{
    static const struct {
        const char *name;
        unsigned minor;
    } devices[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
    static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                           {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"}};
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (mknodat(dir, devices[i].name, S_IFCHR | 0666, makedev(1, devices[i].minor)) != 0 ||
            fchmodat(dir, devices[i].name, 0666, 0) != 0)
            return -1;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        if (symlinkat(links[i][0], dir, links[i][1]) != 0)
            return -1;
    return mkdirat(dir, "shm", 0755);
}

/* Makes the parents of path (relative) below dir as plain directories. */
static int make_parents(int dir, const char *path)
{
    char part[4096];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdirat(dir, part, 0755) != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

static int move_to(int mount_fd, int dir, const char *path)
{
    return move_mount(mount_fd, "", dir, path, MOVE_MOUNT_F_EMPTY_PATH);
}

int mounts_dev(const char *dir, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/dev", dir);
    /* Not nodev: this is the one place with devices. Nothing can be added to it. */
    AUTO_FD int dev = make_tmpfs(65536, 32, 0755, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
    if (dev < 0)
        return -1;
    if (make_devices(dev) != 0)
        return err_sys(err, ERR_CONFIG, "make the devices of the sandbox (needs CAP_MKNOD)");
    if (mkdir(path, 0755) != 0 || move_to(dev, AT_FDCWD, path) != 0)
        return err_sys(err, ERR_CONFIG, "mount the devices of the sandbox");
    return set_attributes(dev, MOUNT_ATTR_RDONLY, 0, err);
}

static int add_link(int root, const char *host, const char *path)
{
    char target[4096];
    ssize_t len = readlink(host, target, sizeof target - 1);
    if (len < 0)
        return -1;
    target[len] = '\0';
    return symlinkat(target, root, path) == 0 || errno == EEXIST ? 0 : -1;
}

static int add_bind(int root, const char *host, struct err *err)
{
    const char *path = host + 1; /* absolute in the table */
    struct stat st;
    if (lstat(host, &st) != 0 || make_parents(root, path) != 0)
        return err_sys(err, ERR_CONFIG, "put %s into a root", host);
    if (S_ISLNK(st.st_mode))
        return add_link(root, host, path) == 0
                   ? 0
                   : err_sys(err, ERR_CONFIG, "put the link %s into a root", host);
    AUTO_FD int file = -1;
    if (S_ISDIR(st.st_mode) && mkdirat(root, path, 0755) != 0 && errno != EEXIST)
        return err_sys(err, ERR_CONFIG, "make %s in a root", host);
    if (!S_ISDIR(st.st_mode) &&
        (file = openat(root, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)) < 0)
        return err_sys(err, ERR_CONFIG, "make %s in a root", host);
    AUTO_FD int tree = open_tree(AT_FDCWD, host, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return err_sys(err, ERR_CONFIG, "bind %s", host);
    if (set_attributes(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, err) != 0)
        return err_wrap(err, "bind %s", host);
    return move_to(tree, root, path) == 0 ? 0 : err_sys(err, ERR_CONFIG, "bind %s", host);
}

int mounts_attach_prebuilt(const char *dir, int mount_fd, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s" MOUNTS_PREBUILT, dir);
    if (mkdir(path, 0755) != 0 || move_to(mount_fd, AT_FDCWD, path) != 0)
        return err_sys(err, ERR_CONFIG, "mount what was made ahead");
    return 0;
}

/* A mount of its own of the attached tree, with the attributes that were given to that. */
static int add_prebuilt(int root, const char *dir, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s" MOUNTS_PREBUILT "/files", dir);
    AUTO_FD int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || mkdirat(root, &MOUNTS_PREBUILT[1], 0755) != 0 ||
        move_to(tree, root, &MOUNTS_PREBUILT[1]) != 0)
        return err_sys(err, ERR_CONFIG, "bind what was made ahead");
    return 0;
}

int mounts_place(int mount_fd, int place, int ns, int home, struct err *err)
{
    if (setns(ns, CLONE_NEWNS) != 0)
        return err_sys(err, ERR_SYSTEM, "enter a sandbox's mounts");
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    int error = move_mount(mount_fd, "", place, "", flags) == 0 ? 0 : errno;
    /* A launcher that cannot come back must not go on: every path would mean another thing. */
    CHECK(setns(home, CLONE_NEWNS) == 0);
    errno = error;
    return error == 0 ? 0 : err_sys(err, ERR_SYSTEM, "place a mount in a sandbox");
}

int mounts_hang(int mount_fd, const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0)
        return err_sys(err, ERR_SYSTEM, "make a place for a built program");
    if (move_to(mount_fd, AT_FDCWD, path) == 0)
        return 0;
    (void)err_sys(err, ERR_SYSTEM, "keep a built program");
    rmdir(path);
    return -1;
}

int mounts_clone(const char *path, struct err *err)
{
    int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return fd >= 0 ? fd : err_sys(err, ERR_SYSTEM, "copy a built program's mount");
}

void mounts_unhang(const char *path)
{
    umount2(path, MNT_DETACH);
    rmdir(path);
}

int mounts_root(const char *dir, const char *name, const char *const *binds, struct err *err)
{
    static const char *const places[] = {"proc", "tmp", "dev", "box"};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    AUTO_FD int fs = make_tmpfs(1 << 20, 1024, 0755, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    if (fs < 0)
        return -1;
    if (mkdir(path, 0755) != 0 || move_to(fs, AT_FDCWD, path) != 0)
        return err_sys(err, ERR_CONFIG, "mount the root %s", name);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (mkdirat(fs, places[i], 0755) != 0)
            return err_sys(err, ERR_CONFIG, "make /%s in the root %s", places[i], name);
    snprintf(path, sizeof path, "%s/dev", dir);
    AUTO_FD int dev = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (dev < 0 || move_to(dev, fs, "dev") != 0)
        return err_sys(err, ERR_CONFIG, "mount /dev in the root %s", name);
    for (; binds && *binds; binds++)
        if ((strcmp(*binds, MOUNTS_PREBUILT) == 0 ? add_prebuilt(fs, dir, err)
                                                  : add_bind(fs, *binds, err)) != 0)
            return err_wrap(err, "root %s", name);
    return set_attributes(fs, MOUNT_ATTR_RDONLY, 0, err);
}

/* Runs in a process of its own, which exists until the launcher holds its namespace. */
static _Noreturn void become_template(const char *path, int ready, int held)
{
    char byte = 0;
    bool made = unshare(CLONE_NEWNS) == 0 && chdir(path) == 0 &&
                syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0;
    int error = made ? 0 : errno;
    if (write(ready, &error, sizeof error) == (ssize_t)sizeof error)
        (void)!read(held, &byte, 1); /* ends with the launcher's end */
    _exit(0);
}

int mounts_template(const char *dir, const char *name, struct err *err)
{
    char path[4096], proc[64];
    int ready[2], held[2], error = 0, fd = -1;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (pipe2(ready, O_CLOEXEC) != 0)
        return err_sys(err, ERR_SYSTEM, "pipe");
    AUTO_FD int ready_in = ready[0], ready_out = ready[1];
    if (pipe2(held, O_CLOEXEC) != 0)
        return err_sys(err, ERR_SYSTEM, "pipe");
    AUTO_FD int held_in = held[0], held_out = held[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, ERR_SYSTEM, "fork");
    if (pid == 0) {
        close(held_out);
        become_template(path, ready_out, held_in);
    }
    close(take_fd(&ready_out));
    if (read(ready_in, &error, sizeof error) != (ssize_t)sizeof error)
        error = ECHILD;
    snprintf(proc, sizeof proc, "/proc/%d/ns/mnt", (int)pid);
    if (error == 0 && (fd = open(proc, O_RDONLY | O_CLOEXEC)) < 0)
        error = errno;
    close(take_fd(&held_out));
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (error == 0 && umount2(path, MNT_DETACH) != 0)
        error = errno;
    errno = error;
    if (error == 0)
        return fd;
    cleanup_fd(&fd);
    errno = error;
    return err_sys(err, ERR_CONFIG, "make the mount namespace of root %s", name);
}
