/* Transaction 1 of admit (admit_store.h).
 *
 * The usual batch (no keyed record, projects read within the last second, everything admitted) goes
 * out in one round trip, decided by what is known. Any other has two.
 *
 * First round trip: BEGIN, the batch's projects, counters, rows that are there, and each key's
 * owners, these locked FOR SHARE until the commit (rule 8). Second: inserts, counters, events of
 * aliases, offsets, COMMIT. Nothing is decided under a lock on the counters; instead the second
 * round trip refuses what the first could not know: a row inserted meanwhile (unique key) or a
 * budget used up meanwhile (NULL into a NOT NULL amount). Then all is rolled back and decided again
 * from what is stored by now, which is what "ON CONFLICT DO NOTHING and read back" gives, at one
 * round trip less for every batch. */
#include "consumers/admit_store.h"
#include "consumers/stage_util.h"
#include "lib/base/strict.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>

static const struct db_statement projects = {
    "admit_projects", "SELECT id, plan, deleted_at IS NOT NULL, EXISTS (SELECT FROM "
                      "rustbox.webhook_endpoints w WHERE w.project_id = p.id AND w.disabled_at IS "
                      "NULL AND w.deleted_at IS NULL) "
                      "FROM rustbox.projects p WHERE id = ANY($1)"};
static const struct db_statement usage = {
    "admit_usage", "SELECT project_id, day, kind, amount FROM rustbox.usage WHERE "
                   "project_id = ANY($1) AND day BETWEEN $2 AND $3 "
                   "AND (day >= $4 OR kind = 'requests_month')"};
static const struct db_statement rows = {
    "admit_rows", "SELECT id, decision, cause, message, partition, log_offset FROM "
                  "rustbox.submissions WHERE class = $1 AND day = $2 AND id = ANY($3) "
                  /* Before the day is first analyzed the planner takes it for a few rows and reads
                   * all of them, but for these bounds: 8 ms at 6,000 rows. */
                  "AND id BETWEEN $4 AND $5"};
static const struct db_statement owners = {
    "admit_owners",
    "SELECT id, log_offset, fingerprint, decision = 'erased' FROM rustbox.submissions WHERE "
    "project_id = $1 AND key_hash = $2 AND day BETWEEN $3::date - 1 AND $3::date + 1 "
    "AND owner_id IS NULL ORDER BY class, day, id FOR SHARE"};
static const struct db_statement insert = {
    "admit_insert",
    "INSERT INTO rustbox.submissions (class, day, id, project_id, decision, cause, message, "
    "partition, log_offset, key_number, key_hash, fingerprint, owner_id, language, profile, lane, "
    "created_at, closed, labels) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
    "$14, $15, $16, $17, $18, $19)"};
static const struct db_statement count_up = {
    "admit_count", "INSERT INTO rustbox.usage AS u (project_id, day, kind, amount) "
                   "VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, day, kind) DO UPDATE SET "
                   "amount = CASE WHEN $5::bigint = 0 OR u.amount + excluded.amount <= $5 "
                   "THEN u.amount + excluded.amount END"};
/* The owner's verdict is there already: persist has listed the aliases without this one. Every
 * class is named, since the primary key begins with it. */
#define LIVE " AND disabled_at IS NULL AND deleted_at IS NULL "
static const struct db_statement alias_event = {
    "admit_alias_event",
    "INSERT INTO rustbox.outbox (submission_id, event, endpoint_id, class, day, evidence_id, "
    "project_id) SELECT $1, v.event, w.id, v.class, v.day, v.id, v.project_id FROM (SELECT class, "
    "day, id, project_id, CASE "
    "verdict WHEN 'IE' THEN 'submission.failed' ELSE 'submission.completed' END AS event FROM "
    "rustbox.evidence WHERE class IN (7, 30, 90, 365) AND day = $2 AND id = $3 AND state = "
    "'stored') v "
    "JOIN LATERAL (SELECT id, events FROM rustbox.webhook_endpoints WHERE project_id = $4 AND "
    "kind = 'project'" LIVE "UNION ALL SELECT id, events FROM rustbox.webhook_endpoints WHERE "
    "submission_id = $1 AND project_id = $4" LIVE ") w ON v.event = ANY(w.events) "
    "ON CONFLICT DO NOTHING"};
#undef LIVE

static const struct db_statement add_endpoint = {
    "admit_endpoint",
    "INSERT INTO rustbox.webhook_endpoints (id, project_id, kind, submission_id, events, sealed, "
    "created_at) VALUES ($1, $2, 'submission', $3, "
    "'{submission.completed,submission.failed}', $4, $5) ON CONFLICT DO NOTHING"};

bool admit_has_row(const struct admit_item *item)
{
    return item->finding <= ADMIT_ERASED;
}

struct project {
    struct uuid id;
    const struct plan *plan; /* NULL: unknown or deleted */
    bool notify;
};

/* What one attempt works with; arrays have room for the whole batch. */
struct work {
    struct db *db;
    struct admit_item *items;
    size_t count;
    struct db_result *results;
    size_t result_count;
    struct uuid *ids;
    struct project *projects; /* ascending, once each */
    size_t project_count;
    struct budgets budgets;
    struct key_record *owners; /* of one key */
    size_t *owners_at;         /* per item: its result, 0 = none */
    bool finished;             /* results are to be given back */
    bool looked;               /* the first round trip was made: BEGIN is sent */
};

static void give_back(struct work *work)
{
    for (size_t i = 0; work->finished && i < work->result_count; i++)
        db_result_done(&work->results[i]);
    work->finished = false;
    work->result_count = 0;
}

static void work_free(struct work *work)
{
    give_back(work);
    free(work->results);
    free(work->ids);
    free(work->projects);
    free(work->budgets.counters);
    free(work->owners);
    free(work->owners_at);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

#define OWNERS_MAX 64 /* stored owners of one key in three days: at most two by rule 8 */

static int work_new(struct work *work, struct db *db, struct admit_item *items, size_t count,
                    struct err *err)
{
    *work = (struct work){
        .db = db,
        .items = items,
        .count = count,
        .results = calloc(5 * count + 4, sizeof *work->results),
        .ids = calloc(count + 1, sizeof *work->ids),
        .projects = calloc(count + 1, sizeof *work->projects),
        .budgets = {calloc(3 * count + 1, sizeof *work->budgets.counters), 0, 3 * count},
        .owners = calloc(count + OWNERS_MAX, sizeof *work->owners),
        .owners_at = calloc(count + 1, sizeof *work->owners_at),
    };
    if (!work->results || !work->ids || !work->projects || !work->budgets.counters ||
        !work->owners || !work->owners_at)
        return err_set(err, ERR_NO_MEMORY, "admit: no memory for a batch of %zu", count);
    return 0;
}

/* work->ids: the distinct projects of the batch, ascending. */
static size_t list_projects(struct work *work)
{
    size_t all = 0, once = 0;
    for (size_t i = 0; i < work->count; i++)
        if (admit_has_row(&work->items[i]))
            work->ids[all++] = work->items[i].env.project;
    qsort(work->ids, all, sizeof *work->ids, compare_ids);
    for (size_t i = 0; i < all; i++)
        if (once == 0 || !uuid_eq(&work->ids[i], &work->ids[once - 1]))
            work->ids[once++] = work->ids[i];
    for (size_t i = 0; i < once; i++)
        work->projects[i] = (struct project){.id = work->ids[i]};
    work->project_count = once;
    return once;
}

static struct project *project_of(struct work *work, const struct uuid *id)
{
    return bsearch(id, work->projects, work->project_count, sizeof *work->projects, compare_ids);
}

static int send(struct work *work, const struct db_statement *statement,
                const struct db_param *params, size_t count, struct err *err)
{
    work->result_count++;
    return db_pipeline_send(work->db, statement, params, count, err);
}

/* ---- first round trip ---- */

static int send_usage(struct work *work, size_t project_count, struct err *err)
{
    int32_t first = INT32_MAX, last = INT32_MIN;
    for (size_t i = 0; i < work->count; i++)
        if (admit_has_row(&work->items[i])) {
            int32_t day = uuid_day(&work->items[i].env.id);
            first = day < first ? day : first;
            last = day > last ? day : last;
        }
    struct db_param params[] = {db_uuids(work->ids, project_count), db_day(month_first(first)),
                                db_day(last), db_day(first)};
    return send(work, &usage, params, COUNT_OF(params), err);
}

static bool same_day(const struct envelope *a, const struct envelope *b)
{
    return a->retention_class == b->retention_class && uuid_day(&a->id) == uuid_day(&b->id);
}

/* The rows that are there, one statement for each class and day. */
static int send_rows(struct work *work, struct err *err)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct envelope *env = &work->items[i].env;
        bool first = admit_has_row(&work->items[i]);
        size_t ids = 0;
        for (size_t j = 0; first && j < work->count; j++) {
            const struct envelope *other = &work->items[j].env;
            if (!admit_has_row(&work->items[j]) || !same_day(env, other))
                continue;
            first = j >= i;
            work->ids[ids++] = other->id;
        }
        if (!first)
            continue;
        qsort(work->ids, ids, sizeof *work->ids, compare_ids);
        struct db_param params[] = {db_int(env->retention_class), db_day(uuid_day(&env->id)),
                                    db_uuids(work->ids, ids), db_uuid(&work->ids[0]),
                                    db_uuid(&work->ids[ids - 1])};
        if (send(work, &rows, params, COUNT_OF(params), err))
            return -1;
    }
    return 0;
}

static bool takes_part(const struct admit_item *item)
{
    return item->env.keyed && admit_has_row(item) && item->finding != ADMIT_FORGED;
}

static int send_owners(struct work *work, struct err *err)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct envelope *env = &work->items[i].env;
        if (!takes_part(&work->items[i]))
            continue;
        struct db_param params[] = {db_uuid(&env->project),
                                    db_bytes(span_of(env->key_hash, sizeof env->key_hash)),
                                    db_day(uuid_day(&env->id))};
        work->owners_at[i] = work->result_count;
        if (send(work, &owners, params, COUNT_OF(params), err))
            return -1;
    }
    return 0;
}

static void read_projects(struct work *work, const struct db_result *result)
{
    for (size_t row = 0; row < db_rows(result); row++) {
        struct uuid id = db_get_uuid(result, row, 0);
        struct project *project = project_of(work, &id);
        if (project && !db_get_bool(result, row, 2))
            project->plan = plan_find(db_get_text(result, row, 1));
        if (project)
            project->notify = db_get_bool(result, row, 3);
    }
}

static void read_usage(struct work *work, const struct db_result *result)
{
    /* Only counters that the batch can ask for, so that there is room. */
    for (size_t i = 0; i < work->count; i++) {
        const struct envelope *env = &work->items[i].env;
        if (!admit_has_row(&work->items[i]))
            continue;
        int32_t day = uuid_day(&env->id);
        budget_counter(&work->budgets, &env->project, day, COUNTER_requests);
        budget_counter(&work->budgets, &env->project, day, COUNTER_cpu_ns);
        budget_counter(&work->budgets, &env->project, month_first(day), COUNTER_requests_month);
    }
    for (size_t row = 0; row < db_rows(result); row++) {
        struct uuid project = db_get_uuid(result, row, 0);
        for (size_t i = 0; i < work->budgets.count; i++) {
            struct counter *counter = &work->budgets.counters[i];
            if (uuid_eq(&counter->project, &project) &&
                counter->day == db_get_day(result, row, 1) &&
                span_is(db_get_text(result, row, 2), counter_kind_name(counter->kind)))
                counter->used = (uint64_t)db_get_int(result, row, 3);
        }
    }
}

static int read_row(const struct db_result *result, size_t at, struct admit_row *row,
                    struct err *err)
{
    *row = (struct admit_row){.partition = (int32_t)db_get_int(result, at, 4),
                              .offset = db_get_int(result, at, 5)};
    if (admit_decision_find(db_get_text(result, at, 1), &row->decision))
        return err_set(err, ERR_BUG,
                       "submissions.decision holds a decision unknown to this version");
    if (!db_is_null(result, at, 2) && cause_find(db_get_text(result, at, 2), &row->cause))
        return err_set(err, ERR_BUG, "submissions.cause holds a cause unknown to this version");
    if (span_copy(db_get_text(result, at, 3), row->message, sizeof row->message))
        row->message[0] = '\0';
    return 0;
}

static int read_rows(struct work *work, const struct db_result *result, struct err *err)
{
    for (size_t at = 0; at < db_rows(result); at++) {
        struct uuid id = db_get_uuid(result, at, 0);
        for (size_t i = 0; i < work->count; i++) {
            struct admit_item *item = &work->items[i];
            if (!admit_has_row(item) || !uuid_eq(&item->env.id, &id))
                continue;
            if (read_row(result, at, &item->row, err))
                return -1;
            item->has_row = true;
        }
    }
    return 0;
}

static int look(struct work *work, struct err *err)
{
    size_t project_count = list_projects(work), rows_from = 2, owners_from;
    struct db_param ids = db_uuids(work->ids, project_count);
    db_pipeline_begin(work->db);
    int rc = db_begin(work->db, err);
    if (!rc)
        rc = send(work, &projects, &ids, 1, err);
    if (!rc)
        rc = send_usage(work, project_count, err);
    if (!rc)
        rc = send_rows(work, err);
    owners_from = work->result_count;
    if (!rc)
        rc = send_owners(work, err);
    if (db_pipeline_finish(work->db, work->results, work->result_count, NULL, err))
        return -1;
    work->finished = work->looked = true;
    read_projects(work, &work->results[0]);
    read_usage(work, &work->results[1]);
    for (size_t i = rows_from; !rc && i < owners_from; i++)
        rc = read_rows(work, &work->results[i], err);
    return rc;
}

/* ---- decide ---- */

static bool same_key(const struct envelope *a, const struct envelope *b)
{
    return uuid_eq(&a->project, &b->project) &&
           memcmp(a->key_hash, b->key_hash, sizeof a->key_hash) == 0;
}

/* The key's owners below this record: stored ones, then those of this batch. */
static size_t gather_owners(struct work *work, size_t at)
{
    const struct admit_item *item = &work->items[at];
    const struct db_result *stored = &work->results[work->owners_at[at]];
    size_t count = 0;
    for (size_t row = 0; row < db_rows(stored) && row < OWNERS_MAX; row++) {
        struct key_record *owner = &work->owners[count];
        struct span fingerprint = db_get_bytes(stored, row, 2);
        *owner = (struct key_record){
            .offset = db_get_int(stored, row, 1), .id = db_get_uuid(stored, row, 0), .owns = true};
        owner->erased = db_get_bool(stored, row, 3) || fingerprint.len != 32;
        if (fingerprint.len == 32)
            memcpy(owner->fingerprint, fingerprint.data, 32);
        count += owner->offset < item->rec->offset;
    }
    for (size_t i = 0; i < at; i++) {
        const struct admit_item *other = &work->items[i];
        if (!other->fresh || !other->row.owns || !same_key(&other->env, &item->env))
            continue;
        struct key_record *owner = &work->owners[count++];
        *owner = (struct key_record){.offset = other->rec->offset,
                                     .id = other->env.id,
                                     .owns = true,
                                     .erased = other->row.decision == DECISION_erased};
        memcpy(owner->fingerprint, other->env.fingerprint, 32);
    }
    return count;
}

static const struct admit_item *earlier_copy(const struct work *work, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (work->items[i].fresh && same_day(&work->items[i].env, &work->items[at].env) &&
            uuid_eq(&work->items[i].env.id, &work->items[at].env.id))
            return &work->items[i];
    return NULL;
}

static void decide(struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        struct admit_item *item = &work->items[i];
        if (!admit_has_row(item) || item->has_row)
            continue;
        const struct admit_item *copy = earlier_copy(work, i);
        item->has_row = true;
        if (copy) {
            item->row = copy->row;
            continue;
        }
        const struct project *project = project_of(work, &item->env.project);
        struct admit_case in = {.finding = item->finding,
                                .message = item->message,
                                .keyed = item->env.keyed,
                                .plan = project ? project->plan : NULL};
        if (takes_part(item))
            in.key = owner_judge(work->owners, gather_owners(work, i), uuid_day(&item->env.id),
                                 item->env.fingerprint, &in.owner);
        admit_decide(&in, &item->env, &work->budgets, &item->row);
        item->row.partition = item->rec->partition;
        item->row.offset = item->rec->offset;
        item->fresh = true;
    }
}

/* ---- guessing ---- */

/* True: every record is decided, as admitted, by what is known; nothing was asked. */
static bool guessed(struct work *work, struct admit_known *known, int64_t now_ms)
{
    list_projects(work);
    for (size_t i = 0; i < work->count; i++) {
        const struct envelope *env = &work->items[i].env;
        if (!admit_has_row(&work->items[i]))
            continue;
        const struct admit_known_project *found =
            admit_known_find(known, &env->project, uuid_day(&env->id), now_ms);
        struct project *project = project_of(work, &env->project);
        if (!found || !project || env->keyed)
            return false;
        project->plan = found->plan;
        admit_known_give(found, &work->budgets);
    }
    decide(work);
    for (size_t i = 0; i < work->count; i++)
        if (work->items[i].has_row && work->items[i].row.decision != DECISION_admit)
            return false;
    return true;
}

static void undecide(struct work *work)
{
    for (size_t i = 0; i < work->count; i++)
        work->items[i].fresh = work->items[i].has_row = false;
    work->budgets.count = 0;
}

static void keep_known(struct work *work, struct admit_known *known, int64_t now_ms)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct envelope *env = &work->items[i].env;
        const struct project *project =
            admit_has_row(&work->items[i]) ? project_of(work, &env->project) : NULL;
        if (project)
            admit_known_keep(known, &env->project, uuid_day(&env->id), project->plan,
                             &work->budgets, work->looked, now_ms);
    }
}

/* ---- second round trip ---- */

static int send_insert(struct work *work, const struct admit_item *item, struct err *err)
{
    const struct envelope *env = &item->env;
    const struct admit_row *row = &item->row;
    bool has_cause = row->decision == DECISION_rejected || row->decision == DECISION_conflict ||
                     row->decision == DECISION_unreadable;
    struct db_param params[] = {
        db_int(env->retention_class),
        db_day(uuid_day(&env->id)),
        db_uuid(&env->id),
        db_uuid(&env->project),
        db_text(admit_decision_name(row->decision)),
        has_cause ? db_text(cause_name(row->cause)) : db_null(),
        row->message[0] ? db_text(row->message) : db_null(),
        db_int(row->partition),
        db_int(row->offset),
        db_int((int64_t)env->key_number),
        row->owns ? db_bytes(span_of(env->key_hash, 32)) : db_null(),
        row->owns && row->decision != DECISION_erased ? db_bytes(span_of(env->fingerprint, 32))
                                                      : db_null(),
        row->has_owner ? db_uuid(&row->owner) : db_null(),
        db_text(language_name(env->language)),
        db_text(profile_name(env->profile)),
        db_int(env->lane),
        db_time(uuid_ms(&env->id) * 1000000),
        db_bool(row->decision == DECISION_alias),
        item->label_count > 0 ? db_uuids(item->labels, item->label_count) : db_null(),
    };
    return send(work, &insert, params, COUNT_OF(params), err);
}

static int send_endpoint(struct work *work, const struct admit_item *item, struct err *err)
{
    struct db_param params[] = {db_uuid(&item->endpoint), db_uuid(&item->env.project),
                                db_uuid(&item->env.id), db_bytes(buf_span(&item->webhook)),
                                db_time(uuid_ms(&item->env.id) * 1000000)};
    if (item->row.decision == DECISION_conflict) /* nobody is told of it */
        return 0;
    return item->webhook.len > 0 ? send(work, &add_endpoint, params, COUNT_OF(params), err) : 0;
}

/* Inserts in one order everywhere, so that two processes never wait for each other in a circle. */
static int compare_items(const void *a, const void *b)
{
    const struct admit_item *const *x = a, *const *y = b;
    return memcmp(&(*x)->env.id, &(*y)->env.id, sizeof(struct uuid));
}

static int send_inserts(struct work *work, struct err *err)
{
    const struct admit_item **fresh = calloc(work->count + 1, sizeof *fresh);
    size_t count = 0;
    if (!fresh)
        return err_set(err, ERR_NO_MEMORY, "admit: no memory for a batch of %zu", work->count);
    for (size_t i = 0; i < work->count; i++)
        if (work->items[i].fresh)
            fresh[count++] = &work->items[i];
    qsort(fresh, count, sizeof *fresh, compare_items);
    int rc = 0;
    for (size_t i = 0; !rc && i < count; i++)
        if ((rc = send_insert(work, fresh[i], err)) == 0)
            rc = send_endpoint(work, fresh[i], err);
    free(fresh);
    return rc;
}

/* Also a zero for a day on which nothing counted: by the rows of kind requests a list finds the
 * days that a project has submissions of. */
static int send_counters(struct work *work, struct err *err)
{
    for (size_t i = 0; i < work->budgets.count; i++) {
        const struct counter *counter = &work->budgets.counters[i];
        bool names_day = counter->kind == COUNTER_requests && counter->used == 0;
        if (counter->added == 0 && !names_day)
            continue;
        struct db_param params[] = {db_uuid(&counter->project), db_day(counter->day),
                                    db_text(counter_kind_name(counter->kind)),
                                    db_int((int64_t)counter->added),
                                    db_int(counter->added ? (int64_t)counter->limit : 0)};
        if (send(work, &count_up, params, COUNT_OF(params), err))
            return -1;
    }
    return 0;
}

static int send_alias_events(struct work *work, struct err *err)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct admit_item *item = &work->items[i];
        const struct project *project = project_of(work, &item->env.project);
        bool asked = item->webhook.len > 0 || (project && project->notify);
        if (!item->fresh || item->row.decision != DECISION_alias || !asked)
            continue;
        struct db_param params[] = {db_uuid(&item->env.id), db_day(uuid_day(&item->row.owner)),
                                    db_uuid(&item->row.owner), db_uuid(&item->env.project)};
        if (send(work, &alias_event, params, COUNT_OF(params), err))
            return -1;
    }
    return 0;
}

static int store(struct work *work, const struct mark *marks, size_t mark_count, struct err *err)
{
    size_t failed = 0, counters_from, counters_to;
    give_back(work);
    db_pipeline_begin(work->db);
    int rc = work->looked ? 0 : db_begin(work->db, err);
    if (!rc)
        rc = send_inserts(work, err);
    counters_from = work->result_count;
    if (!rc)
        rc = send_counters(work, err);
    counters_to = work->result_count;
    if (!rc)
        rc = send_alias_events(work, err);
    if (!rc)
        rc = stage_advance(work->db, TOPIC_submissions, marks, mark_count, err);
    if (!rc)
        rc = db_commit(work->db, err);
    struct err found = {.code = ERR_NONE};
    if (db_pipeline_finish(work->db, work->results, work->result_count, &failed, &found) == 0 &&
        !rc) {
        work->finished = true;
        return 0;
    }
    if (found.code != ERR_NONE)
        *err = found;
    db_rollback(work->db);
    bool over = err->code == ERR_INVALID && failed >= counters_from && failed < counters_to;
    if (over || err->code == ERR_CONFLICT)
        return err_set(err, ERR_BUSY, "admit: %s moved meanwhile", over ? "a budget" : "a row");
    if (err_class(err->code) == ERR_REJECTED && err->code != ERR_EXPIRED) {
        err->code = ERR_BUG; /* our own statement is refused: going on would stall or lose */
        return -1;
    }
    return -1;
}

int admit_store(struct db *db, struct admit_known *known, bool guess, int64_t now_ms,
                struct admit_item *items, size_t count, const struct mark *marks, size_t mark_count,
                struct err *err)
{
    struct work work;
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        items[i].fresh = items[i].has_row = false;
        any |= admit_has_row(&items[i]);
    }
    if (!any && mark_count == 0)
        return 0;
    int rc = work_new(&work, db, items, count, err);
    if (!rc && any && !(guess && guessed(&work, known, now_ms))) {
        undecide(&work);
        rc = look(&work, err);
        if (!rc)
            decide(&work);
        else
            db_rollback(db);
    }
    if (!rc)
        rc = store(&work, marks, mark_count, err);
    if (!rc)
        keep_known(&work, known, now_ms);
    else
        admit_known_forget(known);
    work_free(&work);
    return rc;
}
