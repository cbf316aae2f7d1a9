/* The statements of webhooks (store.h). Endpoints of single submissions are not listed, but what
 * became of their messages can be asked for. */
#include "lib/base/strict.h"
#include "producers/gateway/store_impl.h"

/* Where a list begins and ends that is not told to: a bound that is always there is one that every
 * plan can look up by. */
static const struct uuid first_id;
static const struct uuid last_id = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
#define LAST_TIME_NS INT64_MAX

#define HOOK_COLUMNS                                                                               \
    "SELECT id, array_to_string(events, ','), sealed, created_at, updated_at, disabled_at, "       \
    "disabled_reason, version FROM webhook_endpoints WHERE project_id = $1::uuid AND "             \
    "kind = 'project' AND deleted_at IS NULL "
#define LIVE "project_id = $1::uuid AND id = $2::uuid AND kind = 'project' AND deleted_at IS NULL "

int store_hooks(struct store *store, const struct uuid *project, const struct uuid *before,
                int limit, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_hooks",
        HOOK_COLUMNS "AND ($2::uuid IS NULL OR id < $2::uuid) ORDER BY id DESC LIMIT $3::bigint"};
    struct db_param params[] = {db_uuid(project), db_uuid(before), db_int(limit)};
    return store_rows(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

int store_hook(struct store *store, const struct uuid *project, const struct uuid *id,
               store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {"gw_hook", HOOK_COLUMNS "AND id = $2::uuid"};
    struct db_param params[] = {db_uuid(project), db_uuid(id)};
    return store_rows(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

int store_hook_create(struct store *store, const struct uuid *project, const struct uuid *id,
                      const char *events, struct span sealed, int64_t at_ns, store_rows_fn *done,
                      void *opaque)
{
    static const struct db_statement statement = {
        "gw_hook_create",
        "INSERT INTO webhook_endpoints (id, project_id, kind, events, sealed, created_at) "
        "SELECT $2::uuid, $1::uuid, 'project', string_to_array($3::text, ','), $4::bytea, "
        "$5::timestamptz WHERE (SELECT count(*) FROM webhook_endpoints WHERE "
        "project_id = $1::uuid AND kind = 'project' AND deleted_at IS NULL) < $6::bigint"};
    struct db_param params[] = {db_uuid(project), db_uuid(id),    db_text(events),
                                db_bytes(sealed), db_time(at_ns), db_int(STORE_HOOKS_MAX)};
    return store_rows(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

int store_hook_change(struct store *store, const struct uuid *project, const struct uuid *id,
                      int64_t version, const char *events, struct span sealed, int64_t at_ns,
                      store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_hook_change",
        "UPDATE webhook_endpoints SET events = string_to_array($4::text, ','), "
        "sealed = $5::bytea, version = version + 1, updated_at = $6::timestamptz WHERE " LIVE
        "AND version = $3::integer"};
    struct db_param params[] = {db_uuid(project), db_uuid(id),      db_int(version),
                                db_text(events),  db_bytes(sealed), db_time(at_ns)};
    return store_rows(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

int store_hook_state(struct store *store, const struct uuid *project, const struct uuid *id,
                     enum hook_state state, int64_t at_ns, store_rows_fn *done, void *opaque)
{
    /* Each affects a row that is there, also when it says so already. */
    static const struct db_statement statements[] = {
        [HOOK_ENABLE] = {"gw_hook_enable",
                         "UPDATE webhook_endpoints SET disabled_at = NULL, disabled_reason = NULL, "
                         "enabled_at = $3::timestamptz, updated_at = $3::timestamptz, "
                         "version = version + 1 WHERE " LIVE},
        [HOOK_DISABLE] = {"gw_hook_disable",
                          "UPDATE webhook_endpoints SET disabled_at = coalesce(disabled_at, "
                          "$3::timestamptz), disabled_reason = coalesce(disabled_reason, "
                          "'disabled by its project'), updated_at = $3::timestamptz, "
                          "version = version + 1 WHERE " LIVE},
        [HOOK_DELETE] = {"gw_hook_delete",
                         "UPDATE webhook_endpoints SET deleted_at = $3::timestamptz, "
                         "sealed = NULL, version = version + 1 WHERE " LIVE},
    };
    struct db_param params[] = {db_uuid(project), db_uuid(id), db_time(at_ns)};
    return store_rows(store, done, opaque, project, &statements[state], params, COUNT_OF(params));
}

int store_hook_test(struct store *store, const struct uuid *project, const struct uuid *id,
                    const struct uuid *subject, const char *data, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_hook_test", "INSERT INTO outbox (submission_id, event, endpoint_id, project_id, data) "
                        "SELECT $3::uuid, 'webhook.test', id, project_id, $4::text FROM "
                        "webhook_endpoints WHERE " LIVE "AND disabled_at IS NULL"};
    struct db_param params[] = {db_uuid(project), db_uuid(id), db_uuid(subject), db_text(data)};
    return store_rows(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

/* Each state is walked by itself, in the index' order, and no further than the page goes. */
int store_hook_deliveries(struct store *store, const struct uuid *project, const struct uuid *id,
                          const struct uuid *before, const char *state, int limit,
                          store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_hook_deliveries",
        "SELECT o.* FROM webhook_endpoints w LEFT JOIN LATERAL (SELECT d.* FROM "
        "unnest(string_to_array($4::text, ',')) AS s(state), LATERAL (SELECT submission_id, event, "
        "message_id, generation, state, attempts, next_due_at, last_at, last_status, last_error, "
        "published_at FROM outbox WHERE project_id = $1::uuid AND endpoint_id = w.id AND "
        "state = s.state AND submission_id < $3::uuid ORDER BY submission_id DESC, event "
        "LIMIT $5::bigint) d ORDER BY submission_id DESC, event LIMIT $5::bigint) o ON true "
        "WHERE w.project_id = $1::uuid AND w.id = $2::uuid "
        "ORDER BY o.submission_id DESC, o.event"};
    struct db_param params[] = {db_uuid(project), db_uuid(id), db_uuid(before ? before : &last_id),
                                db_text(state ? state : "pending,delivered,dead,dropped"),
                                db_int(limit)};
    return store_page(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

#define ATTEMPT_COLUMNS                                                                            \
    "message_id, generation, attempt, at, address, port, status, error, latency_us, outcome, "     \
    "next_due_at"
#define ATTEMPTS(from)                                                                             \
    "SELECT a.* FROM webhook_endpoints w LEFT JOIN LATERAL (SELECT " ATTEMPT_COLUMNS " FROM " from \
    " AND at <= $3::timestamptz AND (at < $3::timestamptz OR message_id > $4::uuid) "              \
    "ORDER BY at DESC, message_id LIMIT $5::bigint) a ON true WHERE "                              \
    "w.project_id = $1::uuid AND w.id = $2::uuid ORDER BY a.at DESC, a.message_id"

/* Of all messages in the order of their index; of one, which has few, by its key and then sorted:
 * OFFSET 0 keeps the planner from taking the first way for the second. */
int store_hook_attempts(struct store *store, const struct uuid *project, const struct uuid *id,
                        const struct store_attempts *ask, store_rows_fn *done, void *opaque)
{
    static const struct db_statement all = {
        "gw_hook_attempts",
        ATTEMPTS("webhook_attempts WHERE project_id = $1::uuid AND endpoint_id = w.id")};
    static const struct db_statement one = {
        "gw_hook_attempts_of",
        ATTEMPTS("(SELECT endpoint_id, " ATTEMPT_COLUMNS " FROM webhook_attempts WHERE project_id "
                 "= $1::uuid AND message_id = $6::uuid OFFSET 0) m WHERE endpoint_id = w.id")};
    struct db_param params[] = {db_uuid(project),
                                db_uuid(id),
                                db_time(ask->before_ns ? ask->before_ns : LAST_TIME_NS),
                                db_uuid(&ask->before),
                                db_int(ask->limit),
                                db_uuid(ask->message)};
    return ask->message ? store_rows(store, done, opaque, project, &one, params, 6)
                        : store_page(store, done, opaque, project, &all, params, 5);
}

#define REDELIVER(which)                                                                           \
    "WITH live AS (SELECT id FROM webhook_endpoints WHERE project_id = $1::uuid AND "              \
    "id = $2::uuid AND deleted_at IS NULL AND disabled_at IS NULL), "                              \
    "again AS (UPDATE outbox o SET generation = o.generation + 1, published_at = NULL, "           \
    "state = 'pending', attempts = 0, next_due_at = NULL FROM (SELECT d.* FROM live, " which       \
    ") w WHERE o.submission_id = w.submission_id AND o.event = w.event AND "                       \
    "o.endpoint_id = w.endpoint_id AND o.published_at IS NOT NULL RETURNING 1) "                   \
    "SELECT (SELECT count(*) FROM again) FROM live"
#define SETTLED                                                                                    \
    "SELECT submission_id, event, endpoint_id FROM outbox WHERE project_id = $1::uuid AND "        \
    "endpoint_id = live.id AND published_at IS NOT NULL AND "

int store_hook_redeliver(struct store *store, const struct uuid *project, const struct uuid *id,
                         const struct store_redeliver *ask, store_rows_fn *done, void *opaque)
{
    static const struct db_statement one = {
        "gw_hook_redeliver",
        REDELIVER("LATERAL (" SETTLED "message_id = $3::uuid AND state <> 'pending') d")};
    static const struct db_statement range = {
        "gw_hook_redeliver_range",
        REDELIVER("unnest(string_to_array($3::text, ',')) AS s(state), LATERAL (" SETTLED
                  "state = s.state AND submission_id >= $4::uuid AND submission_id < $5::uuid "
                  "ORDER BY submission_id LIMIT $6::bigint) d ORDER BY submission_id "
                  "LIMIT $6::bigint")};
    if (ask->message) {
        struct db_param params[] = {db_uuid(project), db_uuid(id), db_uuid(ask->message)};
        return store_rows(store, done, opaque, project, &one, params, COUNT_OF(params));
    }
    struct db_param params[] = {db_uuid(project),
                                db_uuid(id),
                                db_text(ask->state ? ask->state : "delivered,dead,dropped"),
                                db_uuid(ask->since ? ask->since : &first_id),
                                db_uuid(ask->until ? ask->until : &last_id),
                                db_int(STORE_REDELIVER_MAX)};
    return store_rows(store, done, opaque, project, &range, params, COUNT_OF(params));
}
