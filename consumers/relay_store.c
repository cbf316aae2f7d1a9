/* relay's transaction (relay_store.h). */
#include "consumers/relay_store.h"
#include "lib/base/strict.h"
#include <stdlib.h>

/* One relay at a time publishes endpoints, so that an older version never follows a newer one. */
static const struct db_statement changed = {
    "relay_changed",
    "WITH mine AS MATERIALIZED (SELECT "
    "pg_try_advisory_xact_lock(hashtext('rustbox.relay.endpoints')) AS held) "
    "SELECT id, project_id, version, disabled_at IS NOT NULL, deleted_at IS NOT NULL, sealed "
    "FROM rustbox.webhook_endpoints, mine WHERE mine.held AND published_version < version "
    "ORDER BY id LIMIT $1"};
/* Otherwise a table without statistics is read whole and sorted: bitmaps also visit every row that
 * was published since the last vacuum. */
static const struct db_statement in_order = {"relay_in_order",
                                             "SELECT set_config('enable_sort', 'off', true), "
                                             "set_config('enable_bitmapscan', 'off', true)"};
/* Nothing is locked while there are endpoints to publish: persist updates both kinds of rows. */
static const struct db_statement due = {
    "relay_due",
    "SELECT o.submission_id, o.event, o.endpoint_id, o.generation, o.project_id, o.data, o.class, "
    "o.day, o.evidence_id, w.kind = 'submission' FROM rustbox.outbox o "
    "JOIN rustbox.webhook_endpoints w ON w.id = o.endpoint_id "
    "WHERE o.published_at IS NULL AND o.submission_id >= $2 AND "
    "w.published_version = w.version AND NOT EXISTS "
    "(SELECT FROM rustbox.webhook_endpoints WHERE published_version < version) "
    "ORDER BY o.submission_id LIMIT $1 FOR UPDATE OF o SKIP LOCKED"};
static const struct db_statement evidence = {
    "relay_evidence", "SELECT id, state = 'erased', key_number, sealed FROM rustbox.evidence "
                      "WHERE class = $1 AND day = $2 AND id = ANY($3) "
                      "AND id BETWEEN $4 AND $5"}; /* bounds as in admit_rows */
static const struct db_statement alias = {
    "relay_alias", "SELECT class, key_number FROM rustbox.submissions WHERE project_id = $1 AND "
                   "day = $2 AND id = $3"};
static const struct db_statement mark_endpoints = {
    "relay_mark_endpoint", "UPDATE rustbox.webhook_endpoints SET published_version = $2 "
                           "WHERE id = $1 AND published_version < $2"};
/* One statement for a batch; events by their number. */
static const struct db_statement mark_published = {
    "relay_mark", "UPDATE rustbox.outbox o SET published_at = $1, message_id = v.message FROM "
                  "unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[]) "
                  "AS v(subject, event, endpoint, message) WHERE o.submission_id = v.subject AND "
                  "o.endpoint_id = v.endpoint AND o.event = (ARRAY["
#define WEBHOOK_EVENT(name, text, ...) "'" text "',"
#include "schemas/webhook_events.def"
#undef WEBHOOK_EVENT
                  "''])[v.event + 1]"};
static const struct db_statement mark_dropped = {
    "relay_drop", "UPDATE rustbox.outbox SET published_at = $4, message_id = $5, "
                  "state = 'dropped', last_error = $6 WHERE submission_id = $1 AND event = $2 AND "
                  "endpoint_id = $3"};

int relay_work_open(struct relay_work *work, size_t max, struct err *err)
{
    *work = (struct relay_work){.max = max,
                                .endpoints = calloc(max, sizeof *work->endpoints),
                                .messages = calloc(max, sizeof *work->messages),
                                .evidence = calloc(2 * max, sizeof *work->evidence),
                                .marks = calloc(max + 1, sizeof *work->marks),
                                .ids = calloc(3 * max, sizeof *work->ids),
                                .events = calloc(max, sizeof *work->events)};
    if (!work->endpoints || !work->messages || !work->evidence || !work->marks || !work->ids ||
        !work->events)
        return err_set(err, ERR_NO_MEMORY, "relay: no memory for a batch of %zu", max);
    return 0;
}

static void forget(struct relay_work *work)
{
    db_result_done(&work->changed);
    db_result_done(&work->due);
    for (size_t i = 0; i < work->evidence_count; i++)
        db_result_done(&work->evidence[i]);
    work->changed = work->due = (struct db_result){NULL};
    work->evidence_count = work->endpoint_count = work->message_count = 0;
}

void relay_work_close(struct relay_work *work)
{
    forget(work);
    free(work->endpoints);
    free(work->messages);
    free(work->evidence);
    free(work->marks);
    free(work->ids);
    free(work->events);
}

static void read_endpoints(struct relay_work *work)
{
    const struct db_result *rows = &work->changed;
    work->endpoint_count = db_rows(rows);
    for (size_t i = 0; i < work->endpoint_count; i++)
        work->endpoints[i] = (struct relay_endpoint){.id = db_get_uuid(rows, i, 0),
                                                     .project = db_get_uuid(rows, i, 1),
                                                     .version = db_get_int(rows, i, 2),
                                                     .disabled = db_get_bool(rows, i, 3),
                                                     .deleted = db_get_bool(rows, i, 4),
                                                     .sealed = db_get_bytes(rows, i, 5)};
}

static int read_messages(struct relay_work *work, struct err *err)
{
    const struct db_result *rows = &work->due;
    work->message_count = db_rows(rows);
    for (size_t i = 0; i < work->message_count; i++) {
        struct relay_message *msg = &work->messages[i];
        *msg = (struct relay_message){.subject = db_get_uuid(rows, i, 0),
                                      .endpoint = db_get_uuid(rows, i, 2),
                                      .generation = (uint32_t)db_get_int(rows, i, 3),
                                      .project = db_get_uuid(rows, i, 4),
                                      .data = db_get_text(rows, i, 5),
                                      .bare = db_get_bool(rows, i, 9)};
        if (webhook_event_find(db_get_text(rows, i, 1), &msg->event))
            return err_set(err, ERR_BUG, "outbox.event holds an event unknown to this version");
        msg->of_result = !db_is_null(rows, i, 8);
        if (!msg->of_result)
            continue;
        msg->class = (uint16_t)db_get_int(rows, i, 6);
        msg->day = db_get_day(rows, i, 7);
        msg->evidence = db_get_uuid(rows, i, 8);
    }
    return 0;
}

static bool is_alias(const struct relay_message *msg)
{
    return !uuid_eq(&msg->subject, &msg->evidence);
}

static bool same_day(const struct relay_message *a, const struct relay_message *b)
{
    return b->of_result && a->class == b->class && a->day == b->day;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* The evidence of one class and day: usually one question for the batch. */
static int send_evidence(struct db *db, struct relay_work *work, size_t first, struct err *err)
{
    const struct relay_message *msg = &work->messages[first];
    size_t count = 0;
    for (size_t i = 0; i < work->message_count; i++) {
        if (!same_day(msg, &work->messages[i]))
            continue;
        if (i < first)
            return 0; /* asked already */
        work->ids[count++] = work->messages[i].evidence;
    }
    qsort(work->ids, count, sizeof *work->ids, compare_ids);
    struct db_param params[] = {db_int(msg->class), db_day(msg->day), db_uuids(work->ids, count),
                                db_uuid(&work->ids[0]), db_uuid(&work->ids[count - 1])};
    work->evidence_count++;
    return db_pipeline_send(db, &evidence, params, COUNT_OF(params), err);
}

static int send_lookups(struct db *db, struct relay_work *work, struct err *err)
{
    for (size_t i = 0; i < work->message_count; i++)
        if (work->messages[i].of_result && send_evidence(db, work, i, err))
            return -1;
    for (size_t i = 0; i < work->message_count; i++) {
        const struct relay_message *msg = &work->messages[i];
        struct db_param own[] = {db_uuid(&msg->project), db_day(uuid_day(&msg->subject)),
                                 db_uuid(&msg->subject)};
        if (!msg->of_result || !is_alias(msg))
            continue;
        if (db_pipeline_send(db, &alias, own, COUNT_OF(own), err))
            return -1;
        work->evidence_count++;
    }
    return 0;
}

static void read_evidence(struct relay_work *work, const struct db_result *rows)
{
    for (size_t row = 0; row < db_rows(rows); row++) {
        struct uuid id = db_get_uuid(rows, row, 0);
        for (size_t i = 0; i < work->message_count; i++) {
            struct relay_message *msg = &work->messages[i];
            if (!msg->of_result || !uuid_eq(&msg->evidence, &id))
                continue;
            msg->erased = db_get_bool(rows, row, 1);
            msg->own_key = msg->evidence_key =
                db_is_null(rows, row, 2) ? 0 : db_get_int(rows, row, 2);
            msg->sealed = db_get_bytes(rows, row, 3);
        }
    }
}

static void read_lookups(struct relay_work *work)
{
    size_t aliases = 0, at;
    for (size_t i = 0; i < work->message_count; i++) {
        work->messages[i].erased = work->messages[i].of_result; /* unless its row says otherwise */
        work->messages[i].own_class = work->messages[i].class;
        aliases += work->messages[i].of_result && is_alias(&work->messages[i]);
    }
    at = work->evidence_count - aliases;
    for (size_t i = 0; i < at; i++)
        read_evidence(work, &work->evidence[i]);
    for (size_t i = 0; i < work->message_count; i++) {
        struct relay_message *msg = &work->messages[i];
        if (!msg->of_result || !is_alias(msg))
            continue;
        const struct db_result *row = &work->evidence[at++];
        msg->erased |= db_rows(row) != 1; /* the repeat's day is gone: so is its key */
        if (db_rows(row) == 1) {
            msg->own_class = (uint16_t)db_get_int(row, 0, 0);
            msg->own_key = db_get_int(row, 0, 1);
        }
    }
}

static int look_up(struct db *db, struct relay_work *work, struct err *err)
{
    db_pipeline_begin(db);
    int rc = send_lookups(db, work, err);
    size_t sent = work->evidence_count;
    work->evidence_count = 0;
    if (db_pipeline_finish(db, work->evidence, sent, NULL, err) || rc)
        return -1;
    work->evidence_count = sent;
    read_lookups(work);
    return 0;
}

int relay_take(struct db *db, struct relay_work *work, const struct uuid *since, struct err *err)
{
    struct db_result results[3];
    struct db_param params[] = {db_int((int64_t)work->max), db_uuid(since)};
    forget(work);
    db_pipeline_begin(db);
    int rc = db_begin(db, err);
    if (!rc)
        rc = db_pipeline_send(db, &in_order, NULL, 0, err);
    if (!rc)
        rc = db_pipeline_send(db, &changed, params, 1, err);
    if (!rc)
        rc = db_pipeline_send(db, &due, params, 2, err);
    if (db_pipeline_finish(db, results, 3, NULL, err) || rc)
        return -1;
    db_result_done(&results[0]);
    work->changed = results[1];
    work->due = results[2];
    read_endpoints(work);
    if (work->endpoint_count > 0)
        return 0; /* messages afterwards: theirs may be among them */
    if (read_messages(work, err) || look_up(db, work, err)) {
        db_rollback(db);
        return -1;
    }
    if (work->message_count == 0)
        return db_commit(db, err);
    return 0;
}

static int send_dropped(struct db *db, const struct relay_work *work, int64_t now_ns, size_t *sent,
                        struct err *err)
{
    for (size_t i = 0; i < work->message_count; i++) {
        const struct relay_message *msg = &work->messages[i];
        struct db_param params[] = {
            db_uuid(&msg->subject),  db_text(webhook_event_name(msg->event)),
            db_uuid(&msg->endpoint), db_time(now_ns),
            db_uuid(&msg->message),  db_text(msg->why)};
        if (msg->fate != RELAY_DROP)
            continue;
        if (db_pipeline_send(db, &mark_dropped, params, COUNT_OF(params), err))
            return -1;
        ++*sent;
    }
    return 0;
}

static int send_published(struct db *db, struct relay_work *work, int64_t now_ns, size_t *sent,
                          struct err *err)
{
    struct uuid *subjects = work->ids, *endpoints = work->ids + work->max;
    struct uuid *messages = work->ids + 2 * work->max;
    size_t count = 0;
    for (size_t i = 0; i < work->message_count; i++) {
        const struct relay_message *msg = &work->messages[i];
        if (msg->fate != RELAY_PUBLISH)
            continue;
        subjects[count] = msg->subject;
        endpoints[count] = msg->endpoint;
        messages[count] = msg->message;
        work->events[count++] = msg->event;
    }
    struct db_param params[] = {db_time(now_ns), db_uuids(subjects, count),
                                db_ints(work->events, count), db_uuids(endpoints, count),
                                db_uuids(messages, count)};
    if (count == 0)
        return 0;
    ++*sent;
    return db_pipeline_send(db, &mark_published, params, COUNT_OF(params), err);
}

static int send_endpoints(struct db *db, const struct relay_work *work, size_t *sent,
                          struct err *err)
{
    for (size_t i = 0; i < work->endpoint_count; i++) {
        struct db_param params[] = {db_uuid(&work->endpoints[i].id),
                                    db_int(work->endpoints[i].version)};
        if (db_pipeline_send(db, &mark_endpoints, params, COUNT_OF(params), err))
            return -1;
        ++*sent;
    }
    return 0;
}

int relay_mark(struct db *db, struct relay_work *work, int64_t now_ns, struct err *err)
{
    size_t sent = 0;
    db_pipeline_begin(db);
    int rc = send_endpoints(db, work, &sent, err);
    if (!rc)
        rc = send_published(db, work, now_ns, &sent, err);
    if (!rc)
        rc = send_dropped(db, work, now_ns, &sent, err);
    if (!rc)
        rc = db_commit(db, err);
    if (db_pipeline_finish(db, work->marks, sent, NULL, err))
        rc = -1;
    for (size_t i = 0; !rc && i < sent; i++)
        db_result_done(&work->marks[i]);
    forget(work);
    return rc;
}
