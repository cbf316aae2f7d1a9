/* Data keys as files: <dir>/<project>/<class>/<day>/<16 hex>.key (delivery.md rules 20-22).
 *
 * Only acceptors create keys (keystore_current); everybody else opens what a record's key id names.
 * Before every use, cached or not, it is tested that the key's name still leads to the inode held
 * open: another file = punctured (read anew), none = destroyed. So a destruction counts at the next
 * use in every process, without messages. Not thread-safe; one handle per process.
 *
 * Errors: ERR_ERASED the key or this record's leaf is gone for good; ERR_CORRUPT the sealed bytes
 * are not what was sealed under this key and AAD; ERR_SYSTEM it cannot be told (a failing disk, no
 * rights): never taken for erased. key_file.h describes the file. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/uuid.h"

struct key_id {
    struct uuid project;
    uint16_t retention_class; /* days */
    int32_t day;              /* the submission's UTC day */
    uint64_t number;          /* random */
};

enum keystore_mode { KEYSTORE_READ, KEYSTORE_CREATE }; /* create: acceptors; erasure: both work */
struct keystore;

int keystore_open(const char *dir, enum keystore_mode mode, struct rnd *rnd, struct keystore **out,
                  struct err *err) MUST_CHECK;
void keystore_close(struct keystore *ks); /* wipes what it cached */

/* Acceptors: a key for this project, class and day that is durable and usable now: one this process
 * knows, one that is there, or a new one. ERR_ERASED: the day is destroyed, no key may be made. */
int keystore_current(struct keystore *ks, const struct uuid *project, uint16_t retention_class,
                     int32_t day, struct key_id *out, struct err *err) MUST_CHECK;
/* Seals under the leaf of `submission`; appends to out. */
int keystore_seal(struct keystore *ks, const struct key_id *key, const struct uuid *submission,
                  struct span aad, struct span plain, struct buf *out, struct err *err) MUST_CHECK;
int keystore_open_record(struct keystore *ks, const struct key_id *key,
                         const struct uuid *submission, struct span aad, struct span sealed,
                         struct buf *out, struct err *err) MUST_CHECK;
/* The test alone (rule 19: before a start, a POST, an answer): 0 = this record can still be opened.
 */
int keystore_test(struct keystore *ks, const struct key_id *key, const struct uuid *submission,
                  struct err *err) MUST_CHECK;

/* Destruction: durable when it returns; repeating it is harmless. */
int keystore_destroy_key(struct keystore *ks, const struct key_id *key, struct err *err) MUST_CHECK;
/* Every key of the day; forbids new ones. */
int keystore_destroy_day(struct keystore *ks, const struct uuid *project, uint16_t retention_class,
                         int32_t day, struct err *err) MUST_CHECK;

/* ---- the installation's own secrets ---- */
struct secret {
    uint8_t bytes[32];
};
/* 32 raw bytes; ERR_CONFIG when it is missing, of another size, or readable by others. */
int secret_load(const char *path, struct secret *out, struct err *err) MUST_CHECK;
/* HMAC-SHA-256(master, "project" || 16 bytes of the project's id). */
void secret_of_project(const struct secret *master, const struct uuid *project, struct secret *out);
