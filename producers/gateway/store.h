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

/* One id with what it resolves to (store_result.c): of this class as a rule, any else. */
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
int store_result(struct store *store, const struct uuid *project, uint16_t retention_class,
                 const struct uuid *id, store_result_fn *done, void *opaque) MUST_CHECK;

/* Owner rows of a key, two days around `day` (the tail's fold needs one more than the window). */
#define STORE_KEY_ROWS 16
typedef void store_key_fn(void *opaque, const struct key_record *rows, size_t count,
                          const struct err *err);
int store_key(struct store *store, const struct uuid *project, const uint8_t key_hash[32],
              int32_t day, store_key_fn *done, void *opaque) MUST_CHECK;

/* Rows as they are; account.c renders them. */
/* How many of the last three days are open; counting ends at `enough`. */
int store_open_count(struct store *store, const struct uuid *project, int32_t today,
                     uint64_t enough, store_rows_fn *done, void *opaque) MUST_CHECK;
/* ---- the list of submissions (store_list.c) ---- */
#define STORE_WALK 1000 /* submissions that one statement looks at */
struct store_filter {
    const struct uuid *before;      /* ids below it */
    int32_t first_day, last_day;    /* both included */
    const char *verdict, *language; /* NULL = any */
    const struct uuid *label;       /* its hash; NULL = any */
};
/* Rows, newest first: id, language, profile, created_at, verdict, cause, completed_at, cpu_ns,
 * wall_ns, memory_peak_bytes, exit_code, signal, whether it fits, whether the walk ended here. The
 * row where a walk ends comes also when it does not fit: another one goes on behind it. */
int store_list(struct store *store, const struct uuid *project, const struct store_filter *filter,
               int limit, store_rows_fn *done, void *opaque) MUST_CHECK;
/* Days that the project has submissions of, not after that one, newest first. */
#define STORE_DAYS 50
int store_days(struct store *store, const struct uuid *project, int32_t last_day,
               store_rows_fn *done, void *opaque) MUST_CHECK;
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
/* ---- webhooks (store_webhooks.c): of the project alone, deleted ones left out ---- */
/* Rows: id, events joined by commas, sealed, created_at, updated_at, disabled_at, disabled_reason,
 * version. before NULL: from the newest. */
int store_hooks(struct store *store, const struct uuid *project, const struct uuid *before,
                int limit, store_rows_fn *done, void *opaque) MUST_CHECK;
int store_hook(struct store *store, const struct uuid *project, const struct uuid *id,
               store_rows_fn *done, void *opaque) MUST_CHECK;
#define STORE_HOOKS_MAX 100 /* of a project */
/* Affects no row when the project has STORE_HOOKS_MAX. */
int store_hook_create(struct store *store, const struct uuid *project, const struct uuid *id,
                      const char *events, struct span sealed, int64_t at_ns, store_rows_fn *done,
                      void *opaque) MUST_CHECK;
/* Affects no row when it changed since `version`. */
int store_hook_change(struct store *store, const struct uuid *project, const struct uuid *id,
                      int64_t version, const char *events, struct span sealed, int64_t at_ns,
                      store_rows_fn *done, void *opaque) MUST_CHECK;
enum hook_state { HOOK_ENABLE, HOOK_DISABLE, HOOK_DELETE };
int store_hook_state(struct store *store, const struct uuid *project, const struct uuid *id,
                     enum hook_state state, int64_t at_ns, store_rows_fn *done,
                     void *opaque) MUST_CHECK;
/* A test message. Affects no row when the endpoint is disabled or not there. */
int store_hook_test(struct store *store, const struct uuid *project, const struct uuid *id,
                    const struct uuid *subject, const char *data, store_rows_fn *done,
                    void *opaque) MUST_CHECK;
/* Rows: subject, event, message id, generation, state, attempts, next_due_at, last_at, last_status,
 * last_error, published_at; of endpoints of every kind, deleted ones too. No row: no such endpoint;
 * one row of nulls: no delivery. state NULL: any. */
int store_hook_deliveries(struct store *store, const struct uuid *project, const struct uuid *id,
                          const struct uuid *before, const char *state, int limit,
                          store_rows_fn *done, void *opaque) MUST_CHECK;
/* Rows: message id, generation, attempt, at, address, port, status, error, latency_us, outcome,
 * next_due_at; no row and nulls as above. message NULL: of all; before: of the row that a page
 * ended with. */
struct store_attempts {
    const struct uuid *message;
    int64_t before_ns; /* 0 = from the newest */
    struct uuid before;
    int limit;
};
int store_hook_attempts(struct store *store, const struct uuid *project, const struct uuid *id,
                        const struct store_attempts *ask, store_rows_fn *done,
                        void *opaque) MUST_CHECK;
/* Asks for messages again: a new generation of each that is settled. Rows: how many; none when the
 * endpoint is disabled or not there. */
#define STORE_REDELIVER_MAX 10000
struct store_redeliver {
    const struct uuid *message;       /* NULL: all in the range */
    const char *state;                /* NULL: any that is settled */
    const struct uuid *since, *until; /* of their subjects' time; NULL: open */
};
int store_hook_redeliver(struct store *store, const struct uuid *project, const struct uuid *id,
                         const struct store_redeliver *ask, store_rows_fn *done,
                         void *opaque) MUST_CHECK;

/* Rows: kind, revoked_at of the key; none when it is not the project's. */
int store_key_revoke(struct store *store, const struct uuid *project, const struct uuid *key,
                     int64_t at_ns, store_rows_fn *done, void *opaque) MUST_CHECK;
