/* The cache of open keys and the test before each use.
 *
 * An entry holds the key file open: as long as it does, the inode's number cannot be given to
 * another file, so "the name leads to this inode" is a proof that the cached nodes are today's.
 * At most CACHE_MAX entries; the least recently used gives way. Key bytes are wiped when dropped.
 */
#include "lib/keystore/keystore.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/keystore/key_day.h"
#include "lib/keystore/key_file.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CACHE_MAX 256
#define BUCKETS 256
#define LOAD_TRIES 8
#define LIST_MAX 64

struct entry {
    struct entry *next; /* in its bucket */
    struct key_id id;
    char path[KEY_PATH_TEXT];
    int fd;
    dev_t dev;
    ino_t ino;
    struct key_nodes nodes;
    uint64_t used; /* the keystore's tick at the last use */
    bool durable;  /* this process synced the directory since it opened the key */
};

struct keystore {
    int root_fd;
    enum keystore_mode mode;
    struct rnd *rnd;
    uint64_t tick;
    size_t count;
    struct entry *buckets[BUCKETS]; /* by project, class and day */
};

int keystore_open(const char *dir, enum keystore_mode mode, struct rnd *rnd, struct keystore **out,
                  struct err *err)
{
    AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_CONFIG, "keystore.dir: cannot open %s (it is made at installation)",
                       dir);
    struct keystore *ks = calloc(1, sizeof *ks);
    if (!ks)
        return err_set(err, ERR_NO_MEMORY, "keystore");
    ks->root_fd = take_fd(&fd);
    ks->mode = mode;
    ks->rnd = rnd;
    *out = ks;
    return 0;
}

static struct entry **bucket_of(struct keystore *ks, const struct key_id *id)
{
    uint32_t hash = (uint32_t)id->day * 31 + id->retention_class;
    for (size_t i = 0; i < sizeof id->project.bytes; i++)
        hash = (hash ^ id->project.bytes[i]) * 16777619u;
    return &ks->buckets[(hash >> 8) % BUCKETS];
}

static bool same_day(const struct key_id *a, const struct key_id *b)
{
    return a->day == b->day && a->retention_class == b->retention_class &&
           uuid_eq(&a->project, &b->project);
}

static void drop(struct keystore *ks, struct entry *entry)
{
    struct entry **at = bucket_of(ks, &entry->id);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    close(entry->fd);
    key_nodes_done(&entry->nodes);
    free(entry);
    ks->count--;
}

void keystore_close(struct keystore *ks)
{
    if (!ks)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (ks->buckets[i])
            drop(ks, ks->buckets[i]);
    close(ks->root_fd);
    free(ks);
}

static void make_room(struct keystore *ks)
{
    struct entry *oldest = NULL;
    if (ks->count < CACHE_MAX)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *entry = ks->buckets[i]; entry; entry = entry->next)
            if (!oldest || entry->used < oldest->used)
                oldest = entry;
    drop(ks, oldest);
}

/* ---- the test ---- */

enum presence { KEY_SAME, KEY_REPLACED, KEY_UNKNOWN };

/* A name is missing: destroyed if its directory can be read, else nobody knows. */
static int missing(struct keystore *ks, const struct key_id *id, struct err *err)
{
    struct key_day day;
    if (key_day_open(ks->root_fd, id, false, &day, err))
        return -1;
    uint64_t number;
    size_t count = 1;
    int status = key_day_list(&day, &number, &count, err);
    key_day_close(&day);
    return status ? -1 : err_set(err, ERR_ERASED, "the data key is destroyed");
}

static enum presence look(struct keystore *ks, const struct entry *entry, struct err *err)
{
    struct stat st;
    if (fstatat(ks->root_fd, entry->path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return st.st_ino == entry->ino && st.st_dev == entry->dev ? KEY_SAME : KEY_REPLACED;
    if (errno == ENOENT)
        (void)missing(ks, &entry->id, err); /* -1 either way: erased, or not to be told */
    else
        err_sys(err, ERR_SYSTEM, "keystore: cannot test %s", entry->path);
    return KEY_UNKNOWN;
}

/* ---- loading ---- */

static int read_file(int fd, size_t size, struct buf *out, struct err *err)
{
    while (out->len < size) {
        void *room = buf_reserve(out, size - out->len);
        if (!room)
            return err_set(err, ERR_NO_MEMORY, "key file");
        ssize_t got = read(fd, room, size - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_SYSTEM, "keystore: cannot read a key file");
        if (got == 0)
            break;
        buf_grow(out, (size_t)got);
    }
    return 0;
}

/* Fills entry from what its path leads to now. ERR_CORRUPT: damaged, or being replaced. */
static int load_once(struct keystore *ks, struct entry *entry, struct err *err)
{
    AUTO_FD int fd = openat(ks->root_fd, entry->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return missing(ks, &entry->id, err);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return err_sys(err, ERR_SYSTEM, "keystore: cannot open %s", entry->path);
    entry->dev = st.st_dev;
    entry->ino = st.st_ino;
    if (st.st_size < 0 || (size_t)st.st_size > KEY_FILE_MAX)
        return err_set(err, ERR_CORRUPT, "the key file is too large");
    struct buf bytes = {.max = KEY_FILE_MAX};
    int status = read_file(fd, (size_t)st.st_size, &bytes, err);
    if (status == 0)
        status = key_file_decode(&entry->id, buf_span(&bytes), &entry->nodes, err);
    wipe_buf(&bytes);
    if (status == 0)
        entry->fd = take_fd(&fd);
    return status;
}

static int load(struct keystore *ks, const struct key_id *id, struct entry **out, struct err *err)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return err_set(err, ERR_NO_MEMORY, "keystore");
    struct err why = {0};
    entry->id = *id;
    key_path(id, entry->path);
    for (int i = 0; i < LOAD_TRIES; i++) {
        if (load_once(ks, entry, &why) == 0) {
            make_room(ks);
            struct entry **bucket = bucket_of(ks, id);
            entry->next = *bucket;
            *bucket = entry;
            ks->count++;
            *out = entry;
            return 0;
        }
        if (why.code != ERR_CORRUPT)
            break;
        /* Damaged = destroyed, unless the bytes were overwritten behind an exchange of names. */
        if (look(ks, entry, &why) != KEY_REPLACED) {
            if (why.code == ERR_CORRUPT)
                err_set(&why, ERR_ERASED, "the data key is destroyed (its file is damaged)");
            break;
        }
    }
    free(entry);
    if (why.code == ERR_CORRUPT)
        err_set(&why, ERR_SYSTEM, "keystore: the key file is replaced again and again");
    if (err)
        *err = why;
    return -1;
}

/* The key, tested just now; err is not NULL. */
static int acquire(struct keystore *ks, const struct key_id *id, struct entry **out,
                   struct err *err)
{
    struct entry *entry = *bucket_of(ks, id);
    while (entry && !(entry->id.number == id->number && same_day(&entry->id, id)))
        entry = entry->next;
    if (entry) {
        enum presence presence = look(ks, entry, err);
        if (presence != KEY_SAME) {
            if (presence == KEY_REPLACED || err->code == ERR_ERASED)
                drop(ks, entry);
            if (presence == KEY_UNKNOWN)
                return -1;
            entry = NULL;
        }
    }
    if (!entry && load(ks, id, &entry, err))
        return -1;
    entry->used = ++ks->tick;
    *out = entry;
    return 0;
}

static int leaf_of(struct keystore *ks, const struct key_id *key, const struct uuid *submission,
                   uint8_t leaf[KEY_BYTES], struct err *err)
{
    struct entry *entry = NULL;
    struct err why = {0};
    if (acquire(ks, key, &entry, &why)) {
        if (err)
            *err = why;
        return -1;
    }
    uint64_t path = tree_path(submission);
    const struct key_node *node = key_nodes_find(&entry->nodes, path);
    if (!node)
        return err_set(err, ERR_ERASED, "the record's key is punctured");
    if (leaf)
        tree_descend(node->key, node->depth, path, TREE_DEPTH, leaf);
    return 0;
}

/* ---- use ---- */

int keystore_seal(struct keystore *ks, const struct key_id *key, const struct uuid *submission,
                  struct span aad, struct span plain, struct buf *out, struct err *err)
{
    uint8_t leaf[KEY_BYTES];
    if (leaf_of(ks, key, submission, leaf, err))
        return -1;
    int status = aead_seal(leaf, ks->rnd, aad, plain, out, err);
    wipe(leaf, sizeof leaf);
    return status;
}

int keystore_open_record(struct keystore *ks, const struct key_id *key,
                         const struct uuid *submission, struct span aad, struct span sealed,
                         struct buf *out, struct err *err)
{
    uint8_t leaf[KEY_BYTES];
    if (leaf_of(ks, key, submission, leaf, err))
        return -1;
    int status = aead_open(leaf, aad, sealed, out, err);
    wipe(leaf, sizeof leaf);
    return status;
}

int keystore_test(struct keystore *ks, const struct key_id *key, const struct uuid *submission,
                  struct err *err)
{
    return leaf_of(ks, key, submission, NULL, err);
}

/* ---- acceptors ---- */

/* A key this process already made durable and that is still there. */
static bool known_key(struct keystore *ks, const struct key_id *of, struct key_id *out)
{
    for (struct entry *entry = *bucket_of(ks, of), *next; entry; entry = next) {
        struct err why = {0};
        next = entry->next;
        if (!entry->durable || !same_day(&entry->id, of))
            continue;
        enum presence presence = look(ks, entry, &why);
        if (presence == KEY_SAME) {
            entry->used = ++ks->tick;
            *out = entry->id;
            return true;
        }
        if (presence == KEY_REPLACED || why.code == ERR_ERASED)
            drop(ks, entry);
    }
    return false;
}

/* 1 = a usable key lies in the directory, and it is durable now; 0 = none. */
static int adopt(struct keystore *ks, const struct key_day *day, struct key_id *out,
                 struct err *err)
{
    uint64_t numbers[LIST_MAX];
    size_t count = LIST_MAX;
    if (key_day_alive(day, err) || key_day_list(day, numbers, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct key_id id = day->of;
        struct entry *entry = NULL;
        struct err why = {0};
        id.number = numbers[i];
        if (acquire(ks, &id, &entry, &why)) {
            if (why.code == ERR_ERASED)
                continue;
            if (err)
                *err = why;
            return -1;
        }
        if (key_day_sync(day, err))
            return -1;
        if (look(ks, entry, &why) != KEY_SAME)
            continue; /* replaced or destroyed while it was synced */
        entry->durable = true;
        *out = id;
        return 1;
    }
    return 0;
}

int keystore_current(struct keystore *ks, const struct uuid *project, uint16_t retention_class,
                     int32_t day, struct key_id *out, struct err *err)
{
    CHECK(ks->mode == KEYSTORE_CREATE);
    struct key_id of = {.project = *project, .retention_class = retention_class, .day = day};
    if (known_key(ks, &of, out))
        return 0;
    struct key_day place;
    if (key_day_open(ks->root_fd, &of, true, &place, err))
        return -1;
    int found = adopt(ks, &place, out, err);
    if (found == 0) { /* look again under the lock: another process may have been faster */
        found = key_day_lock(&place, err) ? -1 : adopt(ks, &place, out, err);
        uint64_t number;
        if (found == 0)
            found =
                key_day_create(&place, ks->rnd, &number, err) ? -1 : adopt(ks, &place, out, err);
        if (found == 0)
            err_set(err, ERR_SYSTEM, "keystore: a key that was just made is not there");
    }
    key_day_close(&place);
    return found == 1 ? 0 : -1;
}

/* ---- destruction ---- */

static int destroy(struct keystore *ks, const struct key_id *key, bool whole_day, struct err *err)
{
    struct key_day day; /* made where missing: the tombstone of a day needs a place */
    if (key_day_open(ks->root_fd, key, true, &day, err))
        return -1;
    int status = key_day_lock(&day, err);
    if (status == 0)
        status =
            whole_day ? key_day_destroy_all(&day, err) : key_day_destroy(&day, key->number, err);
    key_day_close(&day);
    return status;
}

int keystore_destroy_key(struct keystore *ks, const struct key_id *key, struct err *err)
{
    return destroy(ks, key, false, err);
}

int keystore_destroy_day(struct keystore *ks, const struct uuid *project, uint16_t retention_class,
                         int32_t day, struct err *err)
{
    struct key_id of = {.project = *project, .retention_class = retention_class, .day = day};
    return destroy(ks, &of, true, err);
}
