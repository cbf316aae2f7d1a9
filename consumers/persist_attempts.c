/* Attempts (persist_attempts.h). A message's row follows its attempts in their order: one of an
 * older generation, or with a number that was there already, changes nothing. */
#include "consumers/persist_attempts.h"
#include "consumers/persist_rules.h"
#include "consumers/stage_util.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include <inttypes.h>
#include <stdlib.h>

#define STATEMENTS 4 /* at most, of one attempt */

static const struct db_statement insert = {
    "attempt_insert",
    "INSERT INTO rustbox.webhook_attempts (message_id, generation, attempt, project_id, "
    "endpoint_id, at, address, port, status, error, latency_us, outcome, next_due_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING"};
static const struct db_statement advance = {
    "attempt_advance",
    "UPDATE rustbox.outbox SET state = $6, attempts = $5 + 1, next_due_at = $7, last_at = $8, "
    "last_status = $9, last_error = $10 WHERE submission_id = $1 AND event = $2 AND "
    "endpoint_id = $3 AND generation = $4 AND attempts <= $5"};
static const struct db_statement park = {
    "attempt_park", "UPDATE rustbox.outbox SET next_due_at = $6 WHERE submission_id = $1 AND "
                    "event = $2 AND endpoint_id = $3 AND generation = $4 AND attempts <= $5 AND "
                    "state = 'pending'"};
#define ENABLED "coalesce(enabled_at, created_at)"
/* The first failure after the last success, or after it was enabled by hand; a repeated one that a
 * success has followed meanwhile is none. */
static const struct db_statement fail = {
    "attempt_fail",
    "UPDATE rustbox.webhook_endpoints e SET failing_since = $2 WHERE id = $1 AND kind = 'project' "
    "AND disabled_at IS NULL AND deleted_at IS NULL AND " ENABLED
    " < $2 AND (failing_since IS NULL "
    "OR failing_since <= " ENABLED ") AND NOT EXISTS (SELECT FROM rustbox.webhook_attempts a "
    "WHERE a.endpoint_id = e.id AND a.at >= $2 AND a.outcome = 'delivered')"};
/* At once ($6 NULL), or when all have failed since $6. One that was enabled by hand after the
 * attempt stays enabled. */
static const struct db_statement disable = {
    "attempt_disable",
    "WITH gone AS (UPDATE rustbox.webhook_endpoints SET disabled_at = $2, disabled_reason = $3, "
    "failing_since = NULL, version = version + 1 WHERE id = $1 AND disabled_at IS NULL AND "
    "deleted_at IS NULL AND " ENABLED " < $2 AND ($6::timestamptz IS NULL OR (kind = 'project' AND "
    "failing_since > " ENABLED
    " AND failing_since <= $6)) RETURNING id, project_id, kind), told AS ("
    "INSERT INTO rustbox.outbox (submission_id, event, endpoint_id, project_id, data) "
    "SELECT $4, 'endpoint.disabled', w.id, g.project_id, $5 FROM gone g "
    "JOIN rustbox.webhook_endpoints w ON w.project_id = g.project_id AND w.id <> g.id AND "
    "w.kind = 'project' AND w.disabled_at IS NULL AND w.deleted_at IS NULL AND "
    "'endpoint.disabled' = ANY(w.events) WHERE g.kind = 'project' ON CONFLICT DO NOTHING) "
    "SELECT id FROM gone"};
/* A one-submission endpoint goes with its delivery, any other fails no longer. */
static const struct db_statement succeed = {
    "attempt_succeed",
    "UPDATE rustbox.webhook_endpoints SET failing_since = NULL, deleted_at = CASE kind WHEN "
    "'submission' THEN $2 END, sealed = CASE kind WHEN 'project' THEN sealed END, version = "
    "version + (kind = 'submission')::integer WHERE id = $1 AND deleted_at IS NULL AND "
    "(kind = 'submission' OR failing_since <= $2)"};

void attempt_judge(struct signing *signing, const struct record *rec, struct attempt_item *item)
{
    bool has_id;
    struct err err = {.code = ERR_NONE};
    *item = (struct attempt_item){.rec = rec};
    if (!stage_envelope(rec, &item->env, &has_id))
        item->why = "attempts: the headers cannot be read";
    else if (item->env.type != RECORD_attempt)
        item->why = "attempts: the record's type is not attempt";
    if (!item->why)
        item->why = stage_distrust(signing, TOPIC_attempts, &item->env, &rec->value);
    if (!item->why && webhook_attempt_decode(rec->value, &item->attempt, &err))
        item->why = "attempts: the value cannot be read";
}

static struct db_param text_or_null(const char *text)
{
    return text[0] ? db_text(text) : db_null();
}

static struct db_param ms_or_null(int64_t ms)
{
    return ms > 0 ? db_time(ms * 1000000) : db_null();
}

static struct db_param number_or_null(int64_t number)
{
    return number > 0 ? db_int(number) : db_null();
}

static const char *state_of(enum attempt_outcome outcome)
{
    return outcome == OUTCOME_RETRY ? "pending" : attempt_outcome_name(outcome);
}

struct sender {
    struct db *db;
    size_t sent;
};

static int send(struct sender *to, const struct db_statement *statement,
                const struct db_param *params, size_t count, struct err *err)
{
    to->sent++;
    return db_pipeline_send(to->db, statement, params, count, err);
}

static int send_attempt(struct sender *to, const struct attempt_item *item, struct err *err)
{
    const struct envelope *env = &item->env;
    const struct webhook_attempt *attempt = &item->attempt;
    struct db_param params[] = {db_uuid(&env->message),
                                db_int(env->generation),
                                db_int(env->attempt),
                                db_uuid(&env->project),
                                db_uuid(&env->endpoint),
                                ms_or_null(attempt->at_ms),
                                text_or_null(attempt->address),
                                number_or_null(attempt->port),
                                number_or_null(attempt->status),
                                db_text(attempt_error_name(attempt->error)),
                                db_int(attempt->latency_us),
                                db_text(attempt_outcome_name(attempt->outcome)),
                                ms_or_null(attempt->next_due_ms)};
    return send(to, &insert, params, COUNT_OF(params), err);
}

static int send_state(struct sender *to, const struct attempt_item *item, struct err *err)
{
    const struct envelope *env = &item->env;
    const struct webhook_attempt *attempt = &item->attempt;
    struct db_param due = ms_or_null(attempt->next_due_ms);
    struct db_param params[] = {db_uuid(&env->id),
                                db_text(webhook_event_name(env->event)),
                                db_uuid(&env->endpoint),
                                db_int(env->generation),
                                db_int(env->attempt),
                                db_text(state_of(attempt->outcome)),
                                due,
                                ms_or_null(attempt->at_ms),
                                number_or_null(attempt->status),
                                db_text(attempt_error_name(attempt->error))};
    if (attempt->outcome != OUTCOME_PARKED)
        return send(to, &advance, params, COUNT_OF(params), err);
    params[5] = due;
    return send(to, &park, params, 6, err);
}

/* The subject of the event: an id that every repetition derives alike, of the attempt's time. */
static struct uuid subject_of(const struct attempt_item *item)
{
    uint8_t hash[SHA256_BYTES];
    struct uuid id;
    uint64_t ms = (uint64_t)item->attempt.at_ms;
    struct span parts[] = {SPAN_LIT("endpoint.disabled"),
                           span_of(item->env.endpoint.bytes, sizeof item->env.endpoint.bytes),
                           span_of(&ms, sizeof ms)};
    sha256_parts(parts, COUNT_OF(parts), hash);
    memcpy(id.bytes, hash, sizeof id.bytes);
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x70);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

static int send_disable(struct sender *to, const struct attempt_item *item, const char *reason,
                        int64_t failing_since_ms, struct err *err)
{
    char endpoint[UUID_TEXT], at[RFC3339_TEXT];
    BUF_AUTO struct buf data = {.max = 1000};
    struct uuid subject = subject_of(item);
    uuid_format(&item->env.endpoint, endpoint);
    rfc3339_format(item->attempt.at_ms * 1000000, at);
    buf_printf(&data, "{\"endpoint_id\":\"%s\",\"disabled_at\":\"%s\",\"reason\":", endpoint, at);
    json_quote(span_text(reason), &data);
    buf_puts(&data, "}");
    struct db_param params[] = {db_uuid(&item->env.endpoint),
                                ms_or_null(item->attempt.at_ms),
                                db_text(reason),
                                db_uuid(&subject),
                                db_span(buf_span(&data)),
                                ms_or_null(failing_since_ms)};
    return send(to, &disable, params, COUNT_OF(params), err);
}

/* What the attempt means for its endpoint. */
static int send_endpoint(struct sender *to, struct attempt_item *item, struct err *err)
{
    const struct webhook_attempt *attempt = &item->attempt;
    struct db_param params[] = {db_uuid(&item->env.endpoint), ms_or_null(attempt->at_ms)};
    bool failed = persist_failed(attempt);
    if (attempt->outcome == OUTCOME_DELIVERED)
        return send(to, &succeed, params, COUNT_OF(params), err);
    if (failed && send(to, &fail, params, COUNT_OF(params), err))
        return -1;
    if (!failed && !attempt->disable_endpoint)
        return 0;
    item->reason = attempt->disable_endpoint ? attempt->reason : PERSIST_FAILING_REASON;
    item->disable_at = to->sent;
    return send_disable(to, item, item->reason,
                        attempt->disable_endpoint ? 0 : attempt->at_ms - PERSIST_FAILING_MS, err);
}

static int send_all(struct sender *to, struct attempt_item *item, struct err *err)
{
    if (item->attempt.outcome != OUTCOME_PARKED && send_attempt(to, item, err))
        return -1;
    if (send_state(to, item, err))
        return -1;
    return send_endpoint(to, item, err);
}

int attempts_store(struct db *db, struct attempt_item *items, size_t count,
                   const struct mark *marks, size_t mark_count, struct err *err)
{
    struct sender to = {.db = db};
    struct db_result *results = calloc(STATEMENTS * count + 1, sizeof *results);
    if (!results)
        return err_set(err, ERR_NO_MEMORY, "persist: no memory for a batch of %zu", count);
    db_pipeline_begin(db);
    int rc = db_begin(db, err);
    for (size_t i = 0; !rc && i < count; i++)
        if (!items[i].why)
            rc = send_all(&to, &items[i], err);
    if (!rc)
        rc = stage_advance(db, TOPIC_attempts, marks, mark_count, err);
    if (!rc)
        rc = db_commit(db, err);
    if (db_pipeline_finish(db, results, to.sent, NULL, err))
        rc = -1;
    for (size_t i = 0; !rc && i < count; i++)
        items[i].disabled = items[i].reason && db_rows(&results[items[i].disable_at]) > 0;
    for (size_t i = 0; !rc && i < to.sent; i++)
        db_result_done(&results[i]);
    free(results);
    return rc;
}

int attempts_report(const struct attempt_item *items, size_t count, struct outbox *out,
                    struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct attempt_item *item = &items[i];
        if (item->why) {
            if (outbox_dead(out, item->rec, item->why, err))
                return -1;
            metric_add(METRIC_dead_total, "persist", 1);
            continue;
        }
        metric_add(METRIC_attempts_stored_total, attempt_outcome_name(item->attempt.outcome), 1);
        if (!item->disabled)
            continue;
        metric_add(METRIC_endpoints_disabled_total, NULL, 1);
        log_event(LOG_WARN, "endpoint_disabled", kv_uuid("endpoint", &item->env.endpoint),
                  kv("why", item->reason));
    }
    return 0;
}
