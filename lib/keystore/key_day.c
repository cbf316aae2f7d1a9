/* The steps on disk. Each function is one sentence of the rule; the order of the steps is the whole
 * point, and test_keystore holds it by name and by killing a process before each. */
#include "lib/keystore/key_day.h"
#include "lib/base/cleanup.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/keystore/key_file.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define NAME_TEXT 24 /* "<16 hex>.gone" */
#define DAY_GONE "day.gone"
#define LOCK_WAIT_MS 5000
#define LOCK_POLL_MS 5

void (*key_day_step)(const char *step, const char *name);

static void step(const char *what, const char *name)
{
    if (key_day_step)
        key_day_step(what, name);
}

void key_day_path(const struct key_id *key, char out[KEY_PATH_TEXT])
{
    char project[UUID_TEXT], day[DAY_TEXT];
    uuid_format(&key->project, project);
    day_format(key->day, day);
    snprintf(out, KEY_PATH_TEXT, "%s/%u/%s", project, key->retention_class, day);
}

void key_path(const struct key_id *key, char out[KEY_PATH_TEXT])
{
    char dir[KEY_PATH_TEXT];
    key_day_path(key, dir);
    snprintf(out, KEY_PATH_TEXT, "%.70s/%016" PRIx64 ".key", dir, key->number);
}

static void name_of(uint64_t number, const char *kind, char out[NAME_TEXT])
{
    snprintf(out, NAME_TEXT, "%016" PRIx64 ".%s", number, kind);
}

/* Splits "<16 hex>.<kind>"; false for other names. */
static bool name_parse(const char *name, uint64_t *number, const char **kind)
{
    uint8_t bytes[8];
    if (strlen(name) < 18 || name[16] != '.' || hex_decode(span_of(name, 16), bytes, sizeof bytes))
        return false;
    *number = 0;
    for (int i = 0; i < 8; i++)
        *number = *number << 8 | bytes[i];
    *kind = name + 17;
    return true;
}

/* ---- directories ---- */

int key_day_open(int root_fd, const struct key_id *of, bool create, struct key_day *out,
                 struct err *err)
{
    char path[KEY_PATH_TEXT];
    key_day_path(of, path);
    for (char *at = path; create; at++) {
        char end = *at;
        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        step("mkdir", path);
        if (mkdirat(root_fd, path, 0750) && errno != EEXIST)
            return err_sys(err, ERR_SYSTEM, "keystore: cannot make %s", path);
        *at = end;
        if (end == '\0')
            break;
    }
    int fd = openat(root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_SYSTEM,
                       "keystore: %s is not there: mount the keystore under [keystore] dir, or "
                       "restore this directory from its backup; whoever needs it waits",
                       path);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "keystore: cannot open %s", path);
    *out = (struct key_day){.of = *of, .root_fd = root_fd, .fd = fd, .lock_fd = -1};
    return 0;
}

void key_day_close(struct key_day *day)
{
    if (day->lock_fd >= 0)
        close(day->lock_fd);
    if (day->fd >= 0)
        close(day->fd);
    day->lock_fd = day->fd = -1;
}

static int sync_dir(int fd, const char *name, struct err *err)
{
    step("fsync", name);
    return fsync(fd) ? err_sys(err, ERR_SYSTEM, "keystore: cannot sync %s", name) : 0;
}

int key_day_sync(const struct key_day *day, struct err *err)
{
    char path[KEY_PATH_TEXT];
    key_day_path(&day->of, path);
    if (sync_dir(day->fd, "day", err))
        return -1;
    for (char *slash; (slash = strrchr(path, '/'));) {
        *slash = '\0';
        AUTO_FD int fd = openat(day->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return err_sys(err, ERR_SYSTEM, "keystore: cannot open %s", path);
        if (sync_dir(fd, "parent", err))
            return -1;
    }
    return sync_dir(day->root_fd, "root", err);
}

static int exists(const struct key_day *day, const char *name, bool *found, struct err *err)
{
    struct stat st;
    *found = fstatat(day->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*found && errno != ENOENT)
        return err_sys(err, ERR_SYSTEM, "keystore: cannot look for %s", name);
    return 0;
}

int key_day_alive(const struct key_day *day, struct err *err)
{
    bool gone = false;
    if (exists(day, DAY_GONE, &gone, err))
        return -1;
    return gone ? err_set(err, ERR_ERASED, "the keys of this project and day are destroyed") : 0;
}

static void close_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* Calls visit for every name but "." and ".."; stops at its first -1. */
static int each_name(const struct key_day *day,
                     int (*visit)(const struct key_day *day, const char *name, void *opaque,
                                  struct err *err),
                     void *opaque, struct err *err)
{
    AUTO_FD int fd = openat(day->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    __attribute__((cleanup(close_dir))) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(err, ERR_SYSTEM, "keystore: cannot list a day's directory");
    take_fd(&fd);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            visit(day, entry->d_name, opaque, err))
            return -1;
    }
    return errno ? err_sys(err, ERR_SYSTEM, "keystore: cannot list a day's directory") : 0;
}

/* ---- finishing what is found ---- */

/* Overwrites, syncs, unlinks. The caller syncs the directory afterwards. */
static int sweep(const struct key_day *day, const char *name, struct err *err)
{
    static const uint8_t zeros[4096];
    AUTO_FD int fd = openat(day->fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st))
        return err_sys(err, ERR_SYSTEM, "keystore: cannot destroy %s", name);
    step("overwrite", name);
    for (off_t at = 0; at < st.st_size;) {
        size_t part =
            (size_t)(st.st_size - at) < sizeof zeros ? (size_t)(st.st_size - at) : sizeof zeros;
        ssize_t written = pwrite(fd, zeros, part, at);
        if (written <= 0)
            return err_sys(err, ERR_SYSTEM, "keystore: cannot overwrite %s", name);
        at += written;
    }
    step("fdatasync", name);
    if (fdatasync(fd))
        return err_sys(err, ERR_SYSTEM, "keystore: cannot sync %s", name);
    step("unlink", name);
    if (unlinkat(day->fd, name, 0) && errno != ENOENT)
        return err_sys(err, ERR_SYSTEM, "keystore: cannot unlink %s", name);
    return 0;
}

struct finish {
    bool day_gone, swept;
};

static int finish_name(const struct key_day *day, const char *name, void *opaque, struct err *err)
{
    struct finish *finish = opaque;
    uint64_t number;
    const char *kind;
    if (!name_parse(name, &number, &kind))
        return 0;
    bool doomed = strcmp(kind, "tmp") == 0 || strcmp(kind, "old") == 0;
    if (!doomed && strcmp(kind, "key") == 0) {
        char tombstone[NAME_TEXT];
        name_of(number, "gone", tombstone);
        doomed = finish->day_gone;
        if (!doomed && exists(day, tombstone, &doomed, err))
            return -1;
    }
    if (!doomed)
        return 0;
    finish->swept = true;
    return sweep(day, name, err);
}

static int finish_found(const struct key_day *day, struct err *err)
{
    struct finish finish = {0};
    if (exists(day, DAY_GONE, &finish.day_gone, err) || each_name(day, finish_name, &finish, err))
        return -1;
    return finish.swept ? sync_dir(day->fd, "day", err) : 0;
}

int key_day_lock(struct key_day *day, struct err *err)
{
    step("lock", "lock");
    AUTO_FD int fd = openat(day->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "keystore: cannot open a day's lock file");
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += LOCK_POLL_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_sys(err, ERR_SYSTEM, "keystore: cannot lock a day");
        if (waited >= LOCK_WAIT_MS)
            return err_set(err, ERR_SYSTEM, "keystore: a day stayed locked for %d s",
                           LOCK_WAIT_MS / 1000);
        poll(NULL, 0, LOCK_POLL_MS);
    }
    if (sync_dir(day->fd, "day", err) || finish_found(day, err))
        return -1;
    day->lock_fd = take_fd(&fd);
    return 0;
}

/* ---- keys ---- */

struct listing {
    uint64_t *numbers;
    size_t capacity, count;
};

static int list_name(const struct key_day *day, const char *name, void *opaque, struct err *err)
{
    struct listing *listing = opaque;
    uint64_t number;
    const char *kind;
    if (!name_parse(name, &number, &kind) || strcmp(kind, "key") != 0)
        return 0;
    char tombstone[NAME_TEXT];
    bool gone = false;
    name_of(number, "gone", tombstone);
    if (exists(day, tombstone, &gone, err))
        return -1;
    if (!gone && listing->count < listing->capacity)
        listing->numbers[listing->count++] = number;
    return 0;
}

int key_day_list(const struct key_day *day, uint64_t *numbers, size_t *count, struct err *err)
{
    struct listing listing = {.numbers = numbers, .capacity = *count};
    if (each_name(day, list_name, &listing, err))
        return -1;
    *count = listing.count;
    return 0;
}

static int write_all(int fd, struct span bytes)
{
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.len; left > 0;) {
        ssize_t written = write(fd, at, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return -1;
        at += written;
        left -= (size_t)written;
    }
    return 0;
}

/* The name first, durable; then the bytes. */
static int fill_file(const struct key_day *day, const char *name, struct span bytes,
                     struct err *err)
{
    step("create", name);
    AUTO_FD int fd = openat(day->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "keystore: cannot create %s", name);
    if (sync_dir(day->fd, "day", err))
        return -1;
    step("write", name);
    if (write_all(fd, bytes))
        return err_sys(err, ERR_SYSTEM, "keystore: cannot write %s", name);
    step("fdatasync", name);
    if (fdatasync(fd))
        return err_sys(err, ERR_SYSTEM, "keystore: cannot sync %s", name);
    return 0;
}

/* A random number that was never a key of this day. */
static int fresh_number(const struct key_day *day, struct rnd *rnd, uint64_t *number,
                        struct err *err)
{
    for (;;) {
        char key[NAME_TEXT], tombstone[NAME_TEXT];
        bool taken = false, gone = false;
        rnd_fill(rnd, number, sizeof *number);
        name_of(*number, "key", key);
        name_of(*number, "gone", tombstone);
        if (exists(day, key, &taken, err) || exists(day, tombstone, &gone, err))
            return -1;
        if (!taken && !gone)
            return 0;
    }
}

int key_day_create(const struct key_day *day, struct rnd *rnd, uint64_t *number, struct err *err)
{
    CHECK(day->lock_fd >= 0);
    if (key_day_alive(day, err) || fresh_number(day, rnd, number, err))
        return -1;
    struct key_id id = day->of;
    id.number = *number;
    struct key_node root = {.depth = 0};
    struct key_nodes nodes = {.nodes = &root, .count = 1};
    struct buf bytes = {.max = KEY_FILE_MAX};
    char temporary[NAME_TEXT], final[NAME_TEXT];
    name_of(*number, "tmp", temporary);
    name_of(*number, "key", final);
    rnd_fill(rnd, root.key, sizeof root.key);
    int status = key_file_encode(&id, &nodes, &bytes, err);
    if (status == 0)
        status = fill_file(day, temporary, buf_span(&bytes), err);
    wipe(&root, sizeof root);
    wipe_buf(&bytes);
    if (status)
        return -1;
    step("rename", final);
    if (renameat(day->fd, temporary, day->fd, final))
        return err_sys(err, ERR_SYSTEM, "keystore: cannot name %s", final);
    return 0;
}

static int bury(const struct key_day *day, const char *tombstone, struct err *err)
{
    step("tombstone", tombstone);
    AUTO_FD int fd = openat(day->fd, tombstone, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "keystore: cannot write tombstone %s", tombstone);
    if (sync_dir(day->fd, "day", err) || finish_found(day, err))
        return -1;
    return key_day_sync(day, err); /* the tombstone's directory is durable too */
}

int key_day_destroy(const struct key_day *day, uint64_t number, struct err *err)
{
    CHECK(day->lock_fd >= 0);
    char tombstone[NAME_TEXT];
    name_of(number, "gone", tombstone);
    return bury(day, tombstone, err);
}

int key_day_destroy_all(const struct key_day *day, struct err *err)
{
    CHECK(day->lock_fd >= 0);
    return bury(day, DAY_GONE, err);
}
