/* The launcher's parent groups "rustbox-N": choosing a backend, claiming an instance number, and
 * sweeping what dead launchers left.
 *
 * The claim is a lock on the parent group's own directory, which the kernel drops with the
 * launcher: a group that nobody locks belongs to nobody alive. The instance number also gives the
 * launcher its range of user ids. Runs at start and end only, so it may wait. */
#include "lib/base/cleanup.h"
#include "lib/base/span.h"
#include "sandbox/cgroup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define PREFIX "rustbox-"
#define SWEEP_LEVELS 8

static void group_name(unsigned instance, char out[CGROUP_NAME])
{
    snprintf(out, CGROUP_NAME, PREFIX "%u", instance);
}

static int open_dir(int at, const char *path)
{
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int tree_open(const struct cgroup_root *root, size_t i, struct err *err)
{
    char path[CGROUP_PATH * 2];
    snprintf(path, sizeof path, "%s/%s", root->base, root->backend->trees[i]);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : err_sys(err, ERR_SYSTEM, "open control group directory %s", path);
}

int cgroup_detect(const char *mount, struct cgroup_root *root, struct err *err)
{
    static const struct cgroup_backend *const backends[] = {&cgroup_v2, &cgroup_v1};
    struct err why[2];
    for (size_t i = 0; i < 2; i++) {
        *root = (struct cgroup_root){
            .backend = backends[i], .dirs = {-1, -1, -1, -1}, .join = {-1, -1, -1, -1}};
        if (backends[i]->prepare(mount, root->base, &why[i]) == 0)
            return 0;
    }
    return err_set(err, ERR_CONFIG, "no usable control groups: v2: %.150s; v1: %.150s",
                   why[0].message, why[1].message);
}

/* Opens and locks name below tree: the descriptor, or -1 when it is someone's or gone. */
static int lock_group(int tree, const char *name)
{
    AUTO_FD int dir = open_dir(tree, name);
    struct stat mine, now;
    if (dir < 0 || flock(dir, LOCK_EX | LOCK_NB) != 0)
        return -1;
    /* Whoever held the lock before may have removed the directory meanwhile. */
    if (fstat(dir, &mine) != 0 || fstatat(tree, name, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
        mine.st_ino != now.st_ino)
        return -1;
    return take_fd(&dir);
}

/* All at once where the kernel can (v2, 5.14): no fork can outrun it. Else one by one. */
static void kill_members(int dir)
{
    if (cgroup_write(dir, "cgroup.kill", "1", NULL) == 0)
        return;
    AUTO_FD int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(dup(fd), "r");
    char line[32];
    uint64_t pid;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (span_u64(span_text(line), &pid) == 0 && pid > 1)
            kill((pid_t)pid, SIGKILL);
    }
    if (file)
        fclose(file);
}

static int sweep_children(int dir, const char *path, unsigned levels, unsigned *swept,
                          struct err *err);

/* Removes parent/name and what is below it, after killing the members; waits up to 2 s for them to
 * go. A launcher makes no group below a job's, but who may write to the tree can. where is the
 * parent's path, for the message. */
static int sweep_group(int parent, const char *where, const char *name, unsigned levels,
                       struct err *err)
{
    char path[CGROUP_PATH * 2];
    unsigned below = 0;
    snprintf(path, sizeof path, "%s/%s", where, name);
    for (int i = 0; i < 400; i++) {
        AUTO_FD int dir = open_dir(parent, name);
        if (dir >= 0)
            kill_members(dir);
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY)
            break;
        if (dir >= 0 && sweep_children(dir, path, levels, &below, err) != 0)
            return -1;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        errno = EBUSY;
    }
    return err_sys(err, ERR_CONFIG,
                   "sweep a dead launcher's control group (end its processes, then rmdir it) %s",
                   path);
}

static int sweep_children(int dir, const char *path, unsigned levels, unsigned *swept,
                          struct err *err)
{
    int copy = open_dir(dir, ".");
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (!list) {
        int error = errno;
        cleanup_fd(&copy);
        errno = error;
        return error == ENOENT ? 0 : err_sys(err, ERR_SYSTEM, "list control group %s", path);
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(list));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        result = levels > 0 ? sweep_group(dir, path, entry->d_name, levels - 1, err)
                            : err_set(err, ERR_CONFIG,
                                      "a dead launcher's control group has others %d levels below "
                                      "it: remove them (rmdir, the lowest first) in %s",
                                      SWEEP_LEVELS, path);
        *swept += result == 0;
    }
    closedir(list);
    return result;
}

/* Removes the jobs of a group whose lock the caller holds, in every tree. */
static int sweep_instance(const struct cgroup_root *root, const char *name, bool also_parent,
                          unsigned *swept, struct err *err)
{
    /* The locked tree, the first, goes last: until then the name is ours. */
    size_t trees = 0;
    while (root->backend->trees[trees])
        trees++;
    for (size_t i = trees; i-- > 0;) {
        char where[CGROUP_PATH * 2], path[CGROUP_PATH * 2 + CGROUP_NAME];
        snprintf(where, sizeof where, "%s/%s", root->base, root->backend->trees[i]);
        snprintf(path, sizeof path, "%s/%s", where, name);
        AUTO_FD int tree = tree_open(root, i, err);
        AUTO_FD int dir = tree < 0 ? -1 : open_dir(tree, name);
        if (tree < 0)
            return -1;
        if (dir < 0 && errno != ENOENT)
            return err_sys(err, ERR_SYSTEM, "open control group %s", path);
        if ((dir >= 0 && sweep_children(dir, path, SWEEP_LEVELS, swept, err) != 0) ||
            (also_parent && sweep_group(tree, where, name, 0, err) != 0))
            return -1;
    }
    return 0;
}

static int sweep_dead(const struct cgroup_root *root, int tree, unsigned *swept, struct err *err)
{
    int copy = open_dir(tree, ".");
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (!list)
        return err_sys(err, ERR_SYSTEM, "list control groups");
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(list));) {
        uint64_t number;
        if (entry->d_type != DT_DIR || strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0 ||
            span_u64(span_text(entry->d_name + sizeof PREFIX - 1), &number) != 0)
            continue;
        AUTO_FD int lock = lock_group(tree, entry->d_name);
        if (lock >= 0)
            result = sweep_instance(root, entry->d_name, true, swept, err);
    }
    closedir(list);
    return result;
}

static int claim(struct cgroup_root *root, int tree, struct err *err)
{
    char name[CGROUP_NAME];
    for (root->instance = 0; root->instance < CGROUP_INSTANCES; root->instance++) {
        group_name(root->instance, name);
        if (mkdirat(tree, name, 0755) != 0 && errno != EEXIST)
            return err_sys(err, ERR_CONFIG, "make control group %s", name);
        root->dirs[0] = lock_group(tree, name);
        if (root->dirs[0] >= 0)
            return 0;
    }
    return err_set(err, ERR_CONFIG, "all %d control groups " PREFIX "N are in use",
                   CGROUP_INSTANCES);
}

/* Whether tree i's parent group is one that an earlier tree has already. */
static bool same_as_before(const struct cgroup_root *root, size_t i)
{
    struct stat mine, other;
    for (size_t k = 0; k < i; k++)
        if (fstat(root->dirs[i], &mine) == 0 && fstat(root->dirs[k], &other) == 0 &&
            mine.st_dev == other.st_dev && mine.st_ino == other.st_ino)
            return true;
    return false;
}

static int open_join(struct cgroup_root *root, size_t i, struct err *err)
{
    root->join[i] = openat(root->dirs[i], root->backend->join_file, O_WRONLY | O_CLOEXEC);
    return root->join[i] >= 0 ? 0
                              : err_sys(err, ERR_SYSTEM, "open the control group of all jobs (%s)",
                                        root->backend->trees[i]);
}

int cgroup_root_open(struct cgroup_root *root, unsigned *swept, struct err *err)
{
    AUTO_FD int first = tree_open(root, 0, err);
    if (first < 0 || sweep_dead(root, first, swept, err) != 0 || claim(root, first, err) != 0)
        return -1;
    char name[CGROUP_NAME];
    group_name(root->instance, name);
    if (sweep_instance(root, name, false, swept, err) != 0)
        return -1;
    for (size_t i = 1; root->backend->trees[i]; i++) {
        AUTO_FD int tree = tree_open(root, i, err);
        if (tree < 0)
            return -1;
        if (mkdirat(tree, name, 0755) != 0 && errno != EEXIST)
            return err_sys(err, ERR_CONFIG, "make control group %s/%s", root->backend->trees[i],
                           name);
        root->dirs[i] = open_dir(tree, name);
        if (root->dirs[i] < 0)
            return err_sys(err, ERR_SYSTEM, "open control group %s", name);
        /* cpu and cpuacct are usually one hierarchy: joining the parent there would leave the job's
         * own group again. */
        if (i >= root->backend->job_dirs && same_as_before(root, i))
            close(take_fd(&root->dirs[i]));
        else if (i >= root->backend->job_dirs && open_join(root, i, err) != 0)
            return -1;
    }
    root->swap = faccessat(root->dirs[0], root->backend->swap_file, F_OK, 0) == 0;
    /* v2 hands controllers down level by level; v1 has no such file. */
    if (root->backend == &cgroup_v2)
        return cgroup_write(root->dirs[0], "cgroup.subtree_control", "+memory +pids +cpu", err);
    return 0;
}

void cgroup_root_close(struct cgroup_root *root)
{
    char name[CGROUP_NAME];
    struct err err;
    while (root->ahead_count > 0) {
        struct cgroup *group = &root->ahead[--root->ahead_count];
        if (cgroup_remove(root, group, &err) != 1)
            cgroup_close(group);
    }
    group_name(root->instance, name);
    for (size_t i = CGROUP_DIRS; i-- > 0;) {
        if (!root->backend || root->dirs[i] < 0)
            continue;
        cleanup_fd(&root->join[i]);
        root->join[i] = -1;
        AUTO_FD int tree = tree_open(root, i, NULL);
        if (tree >= 0)
            unlinkat(tree, name, AT_REMOVEDIR);
        close(root->dirs[i]);
        root->dirs[i] = -1;
    }
}
