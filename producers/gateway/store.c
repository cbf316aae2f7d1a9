/* See store.h. Every tenant statement is preceded by set_config in its transaction. */
#include "lib/base/strict.h"
#include "producers/gateway/store_impl.h"
#include "producers/gateway/table.h"
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define RETRY_MS 300

struct store {
    struct store_config config;
    struct db *db;
    struct watch watch;
    unsigned events;
    bool connected;
    struct due_queue retry, attempt;
    struct due retry_due, attempt_due;
};

enum job_kind { JOB_OFFSETS, JOB_KEY, JOB_ROWS };
struct job { /* one outstanding call */
    enum job_kind kind;
    void *opaque;
    union {
        store_offsets_fn *offsets;
        store_key_fn *key;
        store_rows_fn *rows;
    };
};

static void disconnect(struct store *store, const struct err *err)
{
    loop_remove(store->config.loop, &store->watch);
    struct db *db = store->db;
    store->db = NULL;
    due_disarm(&store->attempt_due);
    if (store->connected) {
        store->connected = false;
        store->config.on_state(store->config.owner, false, err);
    }
    db_close(db);
    due_arm(store->config.loop, &store->retry, &store->retry_due);
}

/* libpq may change its descriptor (also to another one of the same number) while it connects. */
static void sync_watch(struct store *store, bool anew)
{
    int fd = db_async_fd(store->db);
    short wants = db_async_events(store->db);
    unsigned events = (wants & POLLIN ? EPOLLIN : 0u) | (wants & POLLOUT ? EPOLLOUT : 0u);
    if (anew || fd != store->watch.fd) {
        loop_remove(store->config.loop, &store->watch);
        if (fd >= 0)
            (void)!loop_add(store->config.loop, &store->watch, fd, events, NULL);
    } else if (events != store->events) {
        loop_change(store->config.loop, &store->watch, events);
    }
    store->events = events;
}

static void on_ready(struct watch *watch, unsigned events)
{
    (void)events;
    struct store *store = OWNER_OF(watch, struct store, watch);
    struct err err = {0};
    if (db_async_ready(store->db, &err) != 0) {
        disconnect(store, &err);
        return;
    }
    bool was = store->connected;
    if (!was && db_async_connected(store->db)) {
        store->connected = true;
        due_disarm(&store->attempt_due);
        sync_watch(store, true);
        store->config.on_state(store->config.owner, true, NULL);
    }
    if (store->db)
        sync_watch(store, !was);
}

static void on_retry(struct due *due)
{
    struct store *store = OWNER_OF(due, struct store, retry_due);
    struct err err;
    if (db_async_open(&store->config.db, &store->db, &err) != 0) {
        store->db = NULL;
        due_arm(store->config.loop, &store->retry, &store->retry_due);
        return;
    }
    sync_watch(store, true);
    due_arm(store->config.loop, &store->attempt, &store->attempt_due);
}

static void on_attempt(struct due *due)
{
    struct store *store = OWNER_OF(due, struct store, attempt_due);
    struct err err;
    err_set(&err, ERR_DATABASE, "no connection in time");
    disconnect(store, &err);
}

/* What was queued in this turn leaves now. */
static int64_t on_turn(void *owner)
{
    struct store *store = owner;
    if (store->db && store->connected)
        sync_watch(store, false);
    return -1;
}

int store_open(const struct store_config *config, struct store **out, struct err *err)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return err_set(err, ERR_NO_MEMORY, "database store");
    store->config = *config;
    store->watch = (struct watch){.ready = on_ready, .fd = -1};
    loop_queue(config->loop, &store->retry, RETRY_MS, on_retry);
    loop_queue(config->loop, &store->attempt, config->db.connect_timeout_ms, on_attempt);
    loop_each_turn(config->loop, on_turn, store);
    *out = store;
    on_retry(&store->retry_due);
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    loop_remove(store->config.loop, &store->watch);
    due_disarm(&store->retry_due);
    due_disarm(&store->attempt_due);
    db_close(store->db);
    free(store);
}

bool store_connected(const struct store *store)
{
    return store->connected;
}

static void give_offsets(const struct job *job, const struct db_result *rows, const struct err *err)
{
    struct store_offsets offsets;
    memset(&offsets, 0xff, sizeof(offsets)); /* -1 */
    for (size_t i = 0; rows && i < db_rows(rows); i++) {
        int64_t partition = db_get_int(rows, i, 1);
        bool admit = span_is(db_get_text(rows, i, 0), "submissions");
        if (partition >= 0 && partition < 24)
            (admit ? offsets.admit : offsets.persist)[partition] = db_get_int(rows, i, 2);
    }
    job->offsets(job->opaque, &offsets, err);
}

static void give_key(const struct job *job, const struct db_result *rows, const struct err *err)
{
    struct key_record recs[STORE_KEY_ROWS];
    size_t count = 0;
    for (size_t i = 0; rows && i < db_rows(rows) && count < STORE_KEY_ROWS; i++) {
        struct key_record *rec = &recs[count++];
        *rec = (struct key_record){.id = db_get_uuid(rows, i, 0),
                                   .offset = db_get_int(rows, i, 1),
                                   .owns = true,
                                   .erased = true};
        struct span fingerprint = db_get_bytes(rows, i, 2);
        if (fingerprint.len == 32) {
            memcpy(rec->fingerprint, fingerprint.data, 32);
            rec->erased = false;
        }
    }
    job->key(job->opaque, recs, count, err);
}

static void on_answer(void *opaque, const struct db_result *results, size_t count,
                      const struct err *err)
{
    struct job *job = opaque;
    static const struct err fine = {.code = ERR_NONE};
    const struct db_result *rows = err && err->code ? NULL : &results[count - 1];
    if (!err)
        err = &fine;
    switch (job->kind) {
    case JOB_OFFSETS:
        give_offsets(job, rows, err);
        break;
    case JOB_KEY:
        give_key(job, rows, err);
        break;
    case JOB_ROWS:
        job->rows(job->opaque, rows, err);
        break;
    }
    free(job);
}

static const struct db_statement tenant = {
    "gw_tenant", "SELECT set_config('rustbox.project', $1::uuid::text, true)"};
static const struct db_statement tenant_in_order = {
    "gw_tenant_in_order",
    "SELECT set_config('rustbox.project', $1::uuid::text, true), "
    "set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)"};

/* before: what the transaction begins with, for this project; NULL: nothing. */
static int send_job(struct store *store, struct job job, const struct db_statement *before,
                    const struct uuid *project, const struct db_statement *statement,
                    const struct db_param *params, size_t count)
{
    if (!store->connected)
        return -1;
    struct job *kept = malloc(sizeof(*kept));
    if (!kept)
        return -1;
    *kept = job;
    struct db_param who = db_uuid(project);
    struct db_call calls[2] = {{before, &who, 1}, {statement, params, count}};
    struct err err;
    if (db_async_send(store->db, before ? calls : calls + 1, before ? 2 : 1, on_answer, kept,
                      &err) != 0) {
        free(kept);
        return -1;
    }
    return 0;
}

int store_rows(struct store *store, store_rows_fn *done, void *opaque, const struct uuid *project,
               const struct db_statement *statement, const struct db_param *params, size_t count)
{
    return send_job(store, (struct job){.kind = JOB_ROWS, .opaque = opaque, .rows = done},
                    project ? &tenant : NULL, project, statement, params, count);
}

int store_page(struct store *store, store_rows_fn *done, void *opaque, const struct uuid *project,
               const struct db_statement *statement, const struct db_param *params, size_t count)
{
    return send_job(store, (struct job){.kind = JOB_ROWS, .opaque = opaque, .rows = done},
                    &tenant_in_order, project, statement, params, count);
}

int store_read_offsets(struct store *store, store_offsets_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_offsets", "SELECT topic, partition, next_offset FROM consumer_offsets "
                      "WHERE topic IN ('submissions', 'verdicts')"};
    return send_job(store, (struct job){.kind = JOB_OFFSETS, .opaque = opaque, .offsets = done},
                    NULL, NULL, &statement, NULL, 0);
}

int store_load_keys(struct store *store, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_load_keys", "SELECT key_id, hash, revoked, project_id, plan, retention_class, "
                        "project_deleted FROM load_keys()"};
    return store_rows(store, done, opaque, NULL, &statement, NULL, 0);
}

int store_key(struct store *store, const struct uuid *project, const uint8_t key_hash[32],
              int32_t day, store_key_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_key", "SELECT id, log_offset, fingerprint FROM submissions "
                  "WHERE project_id = $1::uuid AND key_hash = $2::bytea "
                  "AND day BETWEEN $3::date - 2 AND $3::date + 2 AND owner_id IS NULL "
                  "ORDER BY log_offset LIMIT 16"};
    struct db_param params[] = {db_uuid(project), db_bytes(span_of(key_hash, 32)), db_day(day)};
    return send_job(store, (struct job){.kind = JOB_KEY, .opaque = opaque, .key = done}, &tenant,
                    project, &statement, params, 3);
}

int store_open_count(struct store *store, const struct uuid *project, int32_t today,
                     uint64_t enough, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_open_count",
        "SELECT count(*) FROM (SELECT FROM submissions WHERE project_id = $1::uuid AND NOT closed "
        "AND day BETWEEN $2::date - 2 AND $2::date + 1 LIMIT $3::bigint) open"};
    struct db_param params[] = {db_uuid(project), db_day(today), db_int((int64_t)enough)};
    return store_rows(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

int store_usage(struct store *store, const struct uuid *project, int32_t day, int32_t month,
                store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_usage", "SELECT kind, sum(amount)::bigint FROM usage WHERE project_id = $1::uuid AND "
                    "((kind IN ('requests', 'cpu_ns') AND day = $2::date) OR "
                    "(kind = 'requests_month' AND day = $3::date)) GROUP BY kind"};
    struct db_param params[] = {db_uuid(project), db_day(day), db_day(month)};
    return store_rows(store, done, opaque, project, &statement, params, 3);
}

int store_project(struct store *store, const struct uuid *project, store_rows_fn *done,
                  void *opaque)
{
    static const struct db_statement statement = {
        "gw_project", "SELECT id, name, plan, retention_class, taxonomy, created_at FROM projects "
                      "WHERE id = $1::uuid"};
    struct db_param params[] = {db_uuid(project)};
    return store_rows(store, done, opaque, project, &statement, params, 1);
}

int store_keys(struct store *store, const struct uuid *project, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_keys", "SELECT id, kind, label, hint, created_at, revoked_at FROM api_keys "
                   "WHERE project_id = $1::uuid ORDER BY created_at DESC, id DESC LIMIT 1000"};
    struct db_param params[] = {db_uuid(project)};
    return store_rows(store, done, opaque, project, &statement, params, 1);
}

int store_key_create(struct store *store, const struct uuid *project,
                     const struct store_new_key *key, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_key_create",
        "INSERT INTO api_keys (id, project_id, hash, kind, label, hint, created_at) "
        "VALUES ($1::uuid, $2::uuid, $3::bytea, $4::text, $5::text, $6::text, $7::timestamptz)"};
    struct db_param params[] = {db_uuid(&key->id),
                                db_uuid(project),
                                db_bytes(span_of(key->hash, 32)),
                                db_text(key->test ? "test" : "live"),
                                db_text(key->label),
                                db_text(key->hint),
                                db_time(key->created_ns)};
    return store_rows(store, done, opaque, project, &statement, params, 7);
}

int store_key_revoke(struct store *store, const struct uuid *project, const struct uuid *key,
                     int64_t at_ns, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_key_revoke", "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $3::timestamptz) "
                         "WHERE project_id = $1::uuid AND id = $2::uuid "
                         "RETURNING kind, revoked_at"};
    struct db_param params[] = {db_uuid(project), db_uuid(key), db_time(at_ns)};
    return store_rows(store, done, opaque, project, &statement, params, 3);
}
