/* The transaction of persist (persist_store.h).
 *
 * First round trip: the rows, each by its own INSERT that a row already there leaves alone (rules
 * 14 and 18: the primary key is the check), so that its count says whether this record is the one
 * that counts. Second: what follows from the rows that were stored, the offsets, COMMIT. */
#include "consumers/persist_store.h"
#include "consumers/stage_util.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>

static const struct db_statement endpoints = {
    "persist_endpoints", "SELECT p FROM unnest($1::uuid[]) p WHERE EXISTS (SELECT FROM "
                         "rustbox.webhook_endpoints w WHERE w.project_id = p AND "
                         "w.disabled_at IS NULL AND w.deleted_at IS NULL)"};
static const struct db_statement insert_stored = {
    "persist_insert",
    "INSERT INTO rustbox.evidence (class, day, id, project_id, state, verdict, cause, language, "
    "profile, exit_code, signal, cpu_ns, wall_ns, memory_peak_bytes, stdout_bytes, stderr_bytes, "
    "created_at, started_at, completed_at, key_number, sealed, body_hash, partition, log_offset) "
    "VALUES ($1, $2, $3, $4, 'stored', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, "
    "$18, $19, $20, $21, $22, $23) ON CONFLICT DO NOTHING"};
static const struct db_statement insert_erased = {
    "persist_insert_erased",
    "INSERT INTO rustbox.evidence (class, day, id, project_id, state, created_at, key_number, "
    "partition, log_offset) VALUES ($1, $2, $3, $4, 'erased', $5, $6, $7, $8) "
    "ON CONFLICT DO NOTHING"};
/* Also the lock of rule 8: a repeat's transaction 1 holds the owner's row FOR SHARE. */
static const struct db_statement close_rows = {"persist_close",
                                               "UPDATE rustbox.submissions SET closed = true "
                                               "WHERE class = $1 AND day = $2 AND id = ANY($3) "
                                               /* Bounds as in admit_rows; IS NOT TRUE keeps off the
                                                * index of open rows, which a backlog makes long. */
                                               "AND id BETWEEN $4 AND $5 AND closed IS NOT TRUE"};
/* For the id and, if it owns a key, its aliases: listed after the lock, so none is missed. Told are
 * the project's endpoints that ask for it, and the one that came with the submission. */
static const struct db_statement add_events = {
    "persist_events",
    "INSERT INTO rustbox.outbox (submission_id, event, endpoint_id, class, day, evidence_id, "
    "project_id) WITH s AS (SELECT $3::uuid AS id UNION ALL "
    "SELECT a.id FROM rustbox.submissions a WHERE a.owner_id = $3 AND a.decision = 'alias' "
    "AND a.day BETWEEN $2::date - 1 AND $2::date + 1) "
    "SELECT s.id, $4, w.id, $1::smallint, $2::date, $3::uuid, $5::uuid FROM s "
    "JOIN rustbox.webhook_endpoints w ON w.project_id = $5 AND w.kind = 'project' AND "
    "w.disabled_at IS NULL AND w.deleted_at IS NULL AND $4 = ANY(w.events) "
    "UNION ALL SELECT s.id, $4, w.id, $1, $2, $3, $5 FROM s JOIN rustbox.webhook_endpoints w "
    "ON w.submission_id = s.id AND w.project_id = $5 AND w.deleted_at IS NULL "
    "ON CONFLICT DO NOTHING"};
static const struct db_statement charge_cpu = {
    "persist_charge",
    "INSERT INTO rustbox.usage AS u (project_id, day, kind, amount) VALUES ($1, $2, 'cpu_ns', $3) "
    "ON CONFLICT (project_id, day, kind) DO UPDATE SET amount = u.amount + excluded.amount"};
static const struct db_statement look_hash = {"persist_hash",
                                              "SELECT state, body_hash FROM rustbox.evidence "
                                              "WHERE class = $1 AND day = $2 AND id = $3"};

static bool has_row(const struct verdict_item *item)
{
    return item->finding == PERSIST_STORE || item->finding == PERSIST_ERASED;
}

static struct db_param time_or_null(int64_t wall_ns)
{
    return wall_ns > 0 ? db_time(wall_ns) : db_null();
}

static int send_insert(struct db *db, const struct verdict_item *item, struct err *err)
{
    const struct envelope *env = &item->env;
    const struct result_summary *sum = &item->summary;
    int32_t day = uuid_day(&env->id);
    struct db_param key[] = {db_int(env->retention_class), db_day(day), db_uuid(&env->id),
                             db_uuid(&env->project)};
    struct db_param created = db_time(uuid_ms(&env->id) * 1000000);
    struct db_param number = db_int((int64_t)env->key_number);
    struct db_param partition = db_int(item->rec->partition), offset = db_int(item->rec->offset);
    if (item->finding == PERSIST_ERASED) {
        struct db_param params[] = {key[0],  key[1], key[2],    key[3],
                                    created, number, partition, offset};
        return db_pipeline_send(db, &insert_erased, params, COUNT_OF(params), err);
    }
    struct db_param params[] = {
        key[0],
        key[1],
        key[2],
        key[3],
        db_text(verdict_name(sum->verdict)),
        db_text(cause_name(sum->cause)),
        db_text(language_name(sum->language)),
        db_text(profile_name(sum->profile)),
        sum->has_exit_code ? db_int(sum->exit_code) : db_null(),
        sum->has_signal ? db_int(sum->signal) : db_null(),
        db_int((int64_t)sum->cpu_ns),
        db_int((int64_t)sum->wall_ns),
        db_int((int64_t)sum->memory_peak_bytes),
        db_int((int64_t)sum->stdout_bytes),
        db_int((int64_t)sum->stderr_bytes),
        created,
        time_or_null(sum->started_ns),
        time_or_null(sum->completed_ns),
        number,
        db_bytes(item->rec->value),
        db_bytes(span_of(item->body_hash, sizeof item->body_hash)),
        partition,
        offset,
    };
    return db_pipeline_send(db, &insert_stored, params, COUNT_OF(params), err);
}

/* What one transaction works with; every array has room for all items. */
struct work {
    struct db_result *results;
    struct uuid *ids, *projects; /* projects: ascending, once each */
    bool *notify;                /* of projects: has an endpoint */
    struct charge *charges;
    size_t project_count, charge_count;
};

static void work_free(struct work *work)
{
    free(work->results);
    free(work->ids);
    free(work->projects);
    free(work->notify);
    free(work->charges);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

static int work_new(struct work *work, const struct verdict_item *items, size_t count,
                    struct err *err)
{
    *work = (struct work){
        .results = calloc(count + 1, sizeof *work->results),
        .ids = calloc(count + 1, sizeof *work->ids),
        .projects = calloc(count + 1, sizeof *work->projects),
        .notify = calloc(count + 1, sizeof *work->notify),
        .charges = calloc(count + 1, sizeof *work->charges),
    };
    if (!work->results || !work->ids || !work->projects || !work->notify || !work->charges)
        return err_set(err, ERR_NO_MEMORY, "persist: no memory for a batch of %zu", count);
    size_t all = 0;
    for (size_t i = 0; i < count; i++)
        if (has_row(&items[i]))
            work->projects[all++] = items[i].env.project;
    qsort(work->projects, all, sizeof *work->projects, compare_ids);
    for (size_t i = 0; i < all; i++)
        if (work->project_count == 0 ||
            !uuid_eq(&work->projects[i], &work->projects[work->project_count - 1]))
            work->projects[work->project_count++] = work->projects[i];
    return 0;
}

/* ---- first round trip ---- */

static int store_rows(struct db *db, struct work *work, struct verdict_item *items, size_t count,
                      struct err *err)
{
    struct db_param projects = db_uuids(work->projects, work->project_count);
    size_t sent = 1;
    db_pipeline_begin(db);
    int rc = db_begin(db, err);
    if (!rc)
        rc = db_pipeline_send(db, &endpoints, &projects, 1, err);
    for (size_t i = 0; !rc && i < count; i++)
        if (has_row(&items[i])) {
            rc = send_insert(db, &items[i], err);
            sent++;
        }
    if (db_pipeline_finish(db, work->results, sent, NULL, err))
        return -1;
    for (size_t row = 0; row < db_rows(&work->results[0]); row++) {
        struct uuid project = db_get_uuid(&work->results[0], row, 0);
        struct uuid *found =
            bsearch(&project, work->projects, work->project_count, sizeof project, compare_ids);
        if (found)
            work->notify[found - work->projects] = true;
    }
    size_t at = 1;
    for (size_t i = 0; i < count; i++)
        if (has_row(&items[i]))
            items[i].stored = db_affected(&work->results[at++]) == 1;
    for (size_t i = 0; i < sent; i++)
        db_result_done(&work->results[i]);
    return 0;
}

/* ---- second round trip ---- */

/* One UPDATE for each class and day: usually one for the batch. Also for duplicates: it heals a
 * row that was left open (a database rebuilt with persist ahead of admit). */
static int send_close(struct db *db, struct work *work, const struct verdict_item *items,
                      size_t count, size_t *sent, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct envelope *env = &items[i].env;
        int32_t day = uuid_day(&env->id);
        bool first = has_row(&items[i]);
        size_t ids = 0;
        for (size_t j = 0; first && j < count; j++) {
            const struct envelope *other = &items[j].env;
            if (!has_row(&items[j]) || uuid_day(&other->id) != day ||
                other->retention_class != env->retention_class)
                continue;
            first = j >= i;
            work->ids[ids++] = other->id;
        }
        if (!first)
            continue;
        qsort(work->ids, ids, sizeof *work->ids, compare_ids);
        struct db_param params[] = {db_int(env->retention_class), db_day(day),
                                    db_uuids(work->ids, ids), db_uuid(&work->ids[0]),
                                    db_uuid(&work->ids[ids - 1])};
        if (db_pipeline_send(db, &close_rows, params, COUNT_OF(params), err))
            return -1;
        ++*sent;
    }
    return 0;
}

static bool notifies(const struct work *work, const struct verdict_item *item)
{
    if (!persist_tells(item->summary.cause))
        return false;
    const struct uuid *found = bsearch(&item->env.project, work->projects, work->project_count,
                                       sizeof(struct uuid), compare_ids);
    return found && work->notify[found - work->projects];
}

static int send_consequences(struct db *db, struct work *work, const struct verdict_item *items,
                             size_t count, size_t *sent, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct verdict_item *item = &items[i];
        if (!item->stored || item->finding != PERSIST_STORE)
            continue;
        int32_t day = uuid_day(&item->env.id);
        work->charge_count = persist_charge(work->charges, work->charge_count, &item->env.project,
                                            day, item->summary.cpu_ns);
        if (!notifies(work, item))
            continue;
        struct db_param params[] = {
            db_int(item->env.retention_class), db_day(day), db_uuid(&item->env.id),
            db_text(persist_event(item->summary.verdict)), db_uuid(&item->env.project)};
        if (db_pipeline_send(db, &add_events, params, COUNT_OF(params), err))
            return -1;
        ++*sent;
    }
    for (size_t i = 0; i < work->charge_count; i++) {
        const struct charge *charge = &work->charges[i];
        struct db_param params[] = {db_uuid(&charge->project), db_day(charge->day),
                                    db_int((int64_t)charge->cpu_ns)};
        if (db_pipeline_send(db, &charge_cpu, params, COUNT_OF(params), err))
            return -1;
        ++*sent;
    }
    return 0;
}

static bool is_duplicate(const struct verdict_item *item)
{
    return has_row(item) && !item->stored;
}

static int send_duplicates(struct db *db, const struct verdict_item *items, size_t count,
                           size_t *sent, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct envelope *env = &items[i].env;
        if (!is_duplicate(&items[i]))
            continue;
        struct db_param params[] = {db_int(env->retention_class), db_day(uuid_day(&env->id)),
                                    db_uuid(&env->id)};
        if (db_pipeline_send(db, &look_hash, params, COUNT_OF(params), err))
            return -1;
        ++*sent;
    }
    return 0;
}

/* Rule 14. Not of interest to anyone waiting; a difference is a fault of ours or a forged record.
 */
static void count_duplicate(const struct verdict_item *item, const struct db_result *row)
{
    const char *outcome = "same";
    if (db_rows(row) == 0 || span_is(db_get_text(row, 0, 0), "erased"))
        outcome = "erased";
    else if (item->finding != PERSIST_STORE ||
             !span_eq(db_get_bytes(row, 0, 1), span_of(item->body_hash, sizeof item->body_hash)))
        outcome = "differs";
    metric_add(METRIC_verdict_duplicates_total, outcome, 1);
    if (strcmp(outcome, "differs") == 0)
        log_event(LOG_WARN, "verdict_differs", kv_uuid("sub", &item->env.id),
                  kv("partition", item->rec->partition), kv("offset", item->rec->offset));
}

static int finish(struct db *db, struct work *work, const struct verdict_item *items, size_t count,
                  const struct mark *marks, size_t mark_count, struct err *err)
{
    size_t room = 3 * count + 1, hashes = 0;
    struct db_result *results = calloc(room, sizeof *results);
    if (!results) {
        db_rollback(db);
        return err_set(err, ERR_NO_MEMORY, "persist: no memory for a batch of %zu", count);
    }
    size_t sent = 0;
    db_pipeline_begin(db);
    int rc = send_duplicates(db, items, count, &sent, err);
    hashes = sent;
    if (!rc)
        rc = send_close(db, work, items, count, &sent, err);
    if (!rc)
        rc = send_consequences(db, work, items, count, &sent, err);
    if (!rc)
        rc = stage_advance(db, TOPIC_verdicts, marks, mark_count, err);
    if (!rc)
        rc = db_commit(db, err);
    if (db_pipeline_finish(db, results, sent, NULL, err))
        rc = -1;
    for (size_t i = 0, at = 0; !rc && i < count; i++)
        if (is_duplicate(&items[i]) && at < hashes)
            count_duplicate(&items[i], &results[at++]);
    for (size_t i = 0; !rc && i < sent; i++)
        db_result_done(&results[i]);
    free(results);
    return rc;
}

int persist_store(struct db *db, struct verdict_item *items, size_t count, const struct mark *marks,
                  size_t mark_count, struct err *err)
{
    struct work work;
    int rc = work_new(&work, items, count, err);
    if (!rc)
        rc = store_rows(db, &work, items, count, err);
    if (!rc)
        rc = finish(db, &work, items, count, marks, mark_count, err);
    work_free(&work);
    return rc;
}
