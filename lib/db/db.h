/* PostgreSQL: one connection, statements prepared by name at first use, pipelines, and the log's
 * offsets. The only place that calls libpq.
 *
 * Two kinds of handle: db_open is synchronous (admit, persist, tools); db_async_open never blocks
 * and calls back (gateway). Reconnecting is the caller's decision: after ERR_DATABASE close and
 * open again. A transaction left open by an error is rolled back before the error is returned.
 *
 * Errors by SQLSTATE (in the message): connection lost, server stopping, resources short:
 * ERR_DATABASE; serialization, deadlock, lock: ERR_BUSY; statement_timeout: ERR_TIMEOUT; a row
 * whose partition is gone: ERR_EXPIRED; unique: ERR_CONFLICT; other constraints and bad data:
 * ERR_INVALID; missing table, column or right: ERR_CONFIG. Values are never repeated in messages.
 */
#pragma once
#include "lib/base/err.h"
#include "lib/base/uuid.h"

/* What a prepared statement's plan is made for. */
enum db_plans {
    DB_PLANS_BY_COST, /* PostgreSQL's way: its values; the sixth use compares with a plan for all */
    DB_PLANS_FRESH, /* its values, each time: of many days' partitions only theirs are looked at */
    DB_PLANS_KEPT   /* all values, once: planning costs 1.3 ms for a statement of 0.3 */
};

struct db_config {
    const char *conninfo;    /* libpq; no password in it */
    const char *application; /* shown in pg_stat_activity */
    int64_t statement_timeout_ms, connect_timeout_ms;
    /* Every statement finds what it wants by an index: no plan reads a table, whatever the
     * statistics say. For processes, not for tools that count. */
    bool look_ups;
    enum db_plans plans;
};

/* Declared static const where it is used; the name is unique per program. Search path: rustbox. */
struct db_statement {
    const char *name, *sql; /* $1, $2 ...; types are the server's inference: cast where ambiguous */
};

enum db_type {
    DB_NULL,
    DB_INT,
    DB_BOOL,
    DB_TEXT,
    DB_BYTES,
    DB_UUID,
    DB_DAY,
    DB_TIME,
    DB_UUIDS,
    DB_INTS
};
#define DB_PARAMS_MAX 48 /* of one statement */
struct db_param {
    enum db_type type;
    size_t count; /* DB_UUIDS, DB_INTS */
    union {
        int64_t i;
        bool b;
        struct span span;
        const struct uuid *uuids;
        const int64_t *ints;
    };
};
/* Borrowed until the call that takes them returns. */
static inline struct db_param db_null(void)
{
    return (struct db_param){.type = DB_NULL};
}
static inline struct db_param db_int(int64_t value) /* any integer type */
{
    return (struct db_param){.type = DB_INT, .i = value};
}
static inline struct db_param db_bool(bool value)
{
    return (struct db_param){.type = DB_BOOL, .b = value};
}
static inline struct db_param db_text(const char *value) /* NULL pointer = SQL null */
{
    return (struct db_param){.type = value ? DB_TEXT : DB_NULL, .span = span_text(value)};
}
static inline struct db_param db_span(struct span text) /* text; without NUL bytes */
{
    return (struct db_param){.type = DB_TEXT, .span = text};
}
static inline struct db_param db_bytes(struct span bytes) /* bytea */
{
    return (struct db_param){.type = DB_BYTES, .span = bytes};
}
static inline struct db_param db_uuid(const struct uuid *id) /* NULL pointer = SQL null */
{
    return (struct db_param){.type = id ? DB_UUID : DB_NULL, .uuids = id};
}
static inline struct db_param db_day(int32_t day) /* date */
{
    return (struct db_param){.type = DB_DAY, .i = day};
}
static inline struct db_param db_time(int64_t wall_ns) /* timestamptz, cut to microseconds */
{
    return (struct db_param){.type = DB_TIME, .i = wall_ns};
}
static inline struct db_param db_uuids(const struct uuid *ids, size_t count) /* uuid[] */
{
    return (struct db_param){.type = DB_UUIDS, .uuids = ids, .count = count};
}
static inline struct db_param db_ints(const int64_t *ints, size_t count) /* $n::bigint[] */
{
    return (struct db_param){.type = DB_INTS, .ints = ints, .count = count};
}

/* ---- results: rows in memory; a zeroed one is empty. Asking a column for another type than it
 * has (sums of bigint are numeric: cast them) is a bug and aborts; so is reading NULL, but with
 * db_is_null, and db_get_text and db_get_bytes, which give an empty span. ---- */
struct db_result {
    void *rows; /* the library's */
};
#define DB_RESULT_AUTO __attribute__((cleanup(db_result_done))) struct db_result
void db_result_done(struct db_result *result);
size_t db_rows(const struct db_result *result);
size_t db_affected(const struct db_result *result); /* rows inserted, updated or deleted */
bool db_is_null(const struct db_result *result, size_t row, int column);
int64_t db_get_int(const struct db_result *result, size_t row, int column); /* int2, int4, int8 */
bool db_get_bool(const struct db_result *result, size_t row, int column);
struct span db_get_text(const struct db_result *result, size_t row, int column); /* NUL follows */
struct span db_get_bytes(const struct db_result *result, size_t row, int column);
struct uuid db_get_uuid(const struct db_result *result, size_t row, int column);
int32_t db_get_day(const struct db_result *result, size_t row, int column);
int64_t db_get_time_ns(const struct db_result *result, size_t row, int column);

/* ---- synchronous ---- */
struct db;
int db_open(const struct db_config *config, struct db **out, struct err *err) MUST_CHECK;
/* NULL is fine. Outstanding callbacks of the asynchronous kind are called with ERR_DATABASE. */
void db_close(struct db *db);
/* out may be NULL; it is set on success only. */
int db_exec(struct db *db, const struct db_statement *statement, const struct db_param *params,
            size_t count, struct db_result *out, struct err *err) MUST_CHECK;
/* Several statements without parameters or results (migrations, SET). */
int db_script(struct db *db, const char *sql, struct err *err) MUST_CHECK;
int db_begin(struct db *db, struct err *err) MUST_CHECK;
int db_commit(struct db *db, struct err *err) MUST_CHECK;
void db_rollback(struct db *db); /* best effort; harmless outside a transaction */

/* A pipeline: everything queued goes out at once, one round trip. db_begin, db_commit and
 * db_offsets_advance may be called inside; they are queued too and need no place in `results`.
 *
 *   db_pipeline_begin(db); db_begin(db, err); db_pipeline_send(...) n times; db_commit(db, err);
 *   db_pipeline_finish(db, results, n, err);
 *
 * Without db_begin the statements are one implicit transaction. finish fills results[0..n-1] in the
 * order of db_pipeline_send (db_result_done each) or returns the first error, *failed (may be NULL)
 * = its index (n when it was a queued begin, commit or advance), no results, and everything rolled
 * back. A failed send is reported by finish as well, which must always be called. */
void db_pipeline_begin(struct db *db);
int db_pipeline_send(struct db *db, const struct db_statement *statement,
                     const struct db_param *params, size_t count, struct err *err) MUST_CHECK;
int db_pipeline_finish(struct db *db, struct db_result *results, size_t n, size_t *failed,
                       struct err *err) MUST_CHECK;

/* ---- consumer_offsets (delivery.md rule 3) ---- */
struct db_offset {
    int32_t partition;
    int64_t next_offset;
};
/* All partitions of a topic, ascending. ERR_CONFIG when there are none or more than capacity. */
int db_offsets_read(struct db *db, const char *topic, struct db_offset *out, size_t capacity,
                    size_t *count, struct err *err) MUST_CHECK;
/* next_offset = greatest(next_offset, mine) in the current transaction or pipeline; locks rows in
 * ascending order. A missing row is ERR_CONFIG. */
int db_offsets_advance(struct db *db, const char *topic, const struct db_offset *offsets,
                       size_t count, struct err *err) MUST_CHECK;
/* Rows for partitions 0..partitions-1 at offset 0, where missing: with the topic's creation. */
int db_offsets_create(struct db *db, const char *topic, int32_t partitions,
                      struct err *err) MUST_CHECK;

/* Notifications, for a caller that waits for work (relay). Readable: db_notified; it may also have
 * come with an answer, so ask after the last statement too. */
int db_listen(struct db *db, const char *channel, struct err *err) MUST_CHECK;
int db_listen_fd(const struct db *db);
int db_notified(struct db *db, bool *any, struct err *err) MUST_CHECK; /* never blocks */

/* ---- asynchronous ----
 * A send is one or more statements run as one transaction; answers come in the order of sending.
 * At most DB_CALLS_MAX statements a send. The callback gets one result per statement, valid during
 * the call, or err (code other than ERR_NONE) and no results. It may send again; it must not close.
 */
#define DB_CALLS_MAX 8
struct db_call {
    const struct db_statement *statement;
    const struct db_param *params;
    size_t count;
};
typedef void db_async_fn(void *opaque, const struct db_result *results, size_t count,
                         const struct err *err);
/* Starts connecting. Until db_async_connected a send is refused with ERR_DATABASE; the caller's own
 * timer decides when an attempt took too long. */
int db_async_open(const struct db_config *config, struct db **out, struct err *err) MUST_CHECK;
int db_async_send(struct db *db, const struct db_call *calls, size_t count, db_async_fn *done,
                  void *opaque, struct err *err) MUST_CHECK;
int db_async_fd(const struct db *db);       /* may change while connecting: ask before each poll */
short db_async_events(const struct db *db); /* POLLIN, POLLOUT or both */
/* Connects, flushes, reads, calls back; never blocks. -1: the connection is lost; every outstanding
 * callback was called with ERR_DATABASE; db_close, then open again when the caller likes. */
int db_async_ready(struct db *db, struct err *err) MUST_CHECK;
size_t db_async_pending(const struct db *db); /* sends not yet answered */
bool db_async_connected(const struct db *db);
