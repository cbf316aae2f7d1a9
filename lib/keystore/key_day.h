/* One day's directory and the protocol that survives kill -9 and power cuts (delivery.md rule 20);
 * inside lib/keystore and its tests only.
 *
 * Whoever takes the lock syncs the directory and finishes what it finds: a tombstone's destruction;
 * any other leftover is overwritten, synced and unlinked. Key bytes are written only into files
 * whose name is already durable, so that no crash leaves bytes that nobody would find. */
#pragma once
#include "lib/keystore/keystore.h"

#define KEY_PATH_TEXT 96
/* "<project>/<class>/<day>" and "<project>/<class>/<day>/<16 hex>.key" */
void key_day_path(const struct key_id *key, char out[KEY_PATH_TEXT]);
void key_path(const struct key_id *key, char out[KEY_PATH_TEXT]);

struct key_day {
    struct key_id of; /* project, class, day */
    int root_fd;      /* borrowed: the keystore's directory */
    int fd;           /* the day's */
    int lock_fd;      /* -1 = not held */
};
/* create: makes the directories that are missing. Else a missing one is ERR_SYSTEM. */
int key_day_open(int root_fd, const struct key_id *of, bool create, struct key_day *out,
                 struct err *err) MUST_CHECK;
void key_day_close(struct key_day *day); /* releases the lock */
/* Takes the lock (at most 5 s: ERR_SYSTEM) and finishes what it finds. */
int key_day_lock(struct key_day *day, struct err *err) MUST_CHECK;
/* ERR_ERASED when the whole day was destroyed. */
int key_day_alive(const struct key_day *day, struct err *err) MUST_CHECK;
/* Numbers of the keys that are there and have no tombstone; *count is the capacity, then the count.
 */
int key_day_list(const struct key_day *day, uint64_t *numbers, size_t *count,
                 struct err *err) MUST_CHECK;
/* With the lock: a new key under its final name; not yet durable: key_day_sync. */
int key_day_create(const struct key_day *day, struct rnd *rnd, uint64_t *number,
                   struct err *err) MUST_CHECK;
/* Syncs the day's directory and those above it. */
int key_day_sync(const struct key_day *day, struct err *err) MUST_CHECK;
/* With the lock: tombstone, overwrite, sync, unlink, sync. */
int key_day_destroy(const struct key_day *day, uint64_t number, struct err *err) MUST_CHECK;
int key_day_destroy_all(const struct key_day *day, struct err *err) MUST_CHECK;

/* Tests: called before each step that changes the disk, with its name. NULL in programs. */
extern void (*key_day_step)(const char *step, const char *name);
