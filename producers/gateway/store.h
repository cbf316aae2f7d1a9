/* What the gateway asks of PostgreSQL, on one connection that never blocks. The statements and the
 * row policies' setting (rustbox.project) live here and nowhere else.
 *
 * Every call either calls back once (err.code other than ERR_NONE: nothing is known) or returns -1
 * when there is no connection. The connection is opened again by itself; on_state tells. */
#pragma once
#include "lib/db/db.h"
#include "producers/gateway/loop.h"
#include "schemas/owner_rules.h"

struct store;
struct store_config {
    struct db_config db;
    struct loop *loop;
    void *owner;
    void (*on_state)(void *owner, bool connected, const struct err *err);
};
int store_open(const struct store_config *config, struct store **out, struct err *err) MUST_CHECK;
void store_close(struct store *store);
bool store_connected(const struct store *store);

struct store_offsets {
    int64_t admit[24], persist[24]; /* -1 = no row */
};
typedef void store_offsets_fn(void *opaque, const struct store_offsets *offsets,
                              const struct err *err);
int store_read_offsets(struct store *store, store_offsets_fn *done, void *opaque) MUST_CHECK;

/* Keys and projects at start. */
typedef void store_rows_fn(void *opaque, const struct db_result *rows, const struct err *err);
int store_load_keys(struct store *store, store_rows_fn *done, void *opaque) MUST_CHECK;

/* One id with what it resolves to. */
struct store_result_row {
    bool found, erased, has_verdict;
    enum language language;
    int64_t created_ns;
    struct uuid effective; /* the owner of an alias */
    uint16_t retention_class;
    uint64_t key_number;
    struct span sealed;
};
typedef void store_result_fn(void *opaque, const struct store_result_row *row,
                             const struct err *err);
int store_result(struct store *store, const struct uuid *project, const struct uuid *id,
                 store_result_fn *done, void *opaque) MUST_CHECK;

/* Owner rows of a key, two days around `day` (the tail's fold needs one more than the window). */
#define STORE_KEY_ROWS 16
typedef void store_key_fn(void *opaque, const struct key_record *rows, size_t count,
                          const struct err *err);
int store_key(struct store *store, const struct uuid *project, const uint8_t key_hash[32],
              int32_t day, store_key_fn *done, void *opaque) MUST_CHECK;

/* Rows as they are; account.c renders them. */
int store_open_count(struct store *store, const struct uuid *project, store_rows_fn *done,
                     void *opaque) MUST_CHECK;
int store_list(struct store *store, const struct uuid *project, const struct uuid *before,
               const char *verdict, const char *language, int limit, store_rows_fn *done,
               void *opaque) MUST_CHECK;
int store_usage(struct store *store, const struct uuid *project, int32_t day, int32_t month,
                store_rows_fn *done, void *opaque) MUST_CHECK;
int store_project(struct store *store, const struct uuid *project, store_rows_fn *done,
                  void *opaque) MUST_CHECK;
int store_keys(struct store *store, const struct uuid *project, store_rows_fn *done,
               void *opaque) MUST_CHECK;
struct store_new_key {
    struct uuid id;
    uint8_t hash[32];
    bool test;
    const char *label, *hint;
    int64_t created_ns;
};
int store_key_create(struct store *store, const struct uuid *project,
                     const struct store_new_key *key, store_rows_fn *done, void *opaque) MUST_CHECK;
/* Rows: kind, revoked_at of the key; none when it is not the project's. */
int store_key_revoke(struct store *store, const struct uuid *project, const struct uuid *key,
                     int64_t at_ns, store_rows_fn *done, void *opaque) MUST_CHECK;
