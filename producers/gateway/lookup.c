/* What is known of an id: the tail, then the row, then (a miss) both again behind the log's end
 * (delivery.md rules 24 and 25). The row beats the tail. Used by GET /api/result and by a wait on
 * an id that somebody else made. */
#include "producers/gateway/gateway.h"
#include "schemas/result.h"

#define MISS_MS 5000    /* a miss that cannot be settled by then is a 503 */
#define ENDS_EVERY_MS 2 /* one request for all misses that wait */
#define ENDS_TIMEOUT_MS 150
#define PAUSED_MS 50 /* between looks whether the broker may be asked again */

enum step { STEP_LOOK, STEP_ENDS, STEP_PASS, STEP_AGAIN };

struct lookup {
    struct lookup *prev, *next; /* waiting for ends or for the tail; self = in no list */
    struct gateway *gw;
    struct project *project;
    struct uuid id;
    enum step step;
    bool settled;   /* done was called or it was cancelled */
    enum topic log; /* whose end must be passed: verdicts with the database away (rule 25) */
    bool asked;     /* the store will call back */
    bool starting;
    bool known; /* the tail has the submission */
    enum language language;
    int64_t created_ns, submitted_ms;
    struct verdict_seen *hit; /* what the tail said when it was searched */
    int64_t ends[PARTITIONS];
    struct due due;
    lookup_fn *done;
    void *opaque;
};

struct lookups {
    struct gateway *gw;
    struct lookup waiting; /* list head */
    struct due_queue miss_due;
    int64_t asked_ms;
};

static void list_leave(struct lookup *lookup)
{
    lookup->prev->next = lookup->next;
    lookup->next->prev = lookup->prev;
    lookup->prev = lookup->next = lookup;
}

static void list_join(struct lookups *lookups, struct lookup *lookup)
{
    lookup->prev = lookups->waiting.prev;
    lookup->next = &lookups->waiting;
    lookup->prev->next = lookup;
    lookups->waiting.prev = lookup;
}

static void release(struct lookup *lookup)
{
    list_leave(lookup);
    due_disarm(&lookup->due);
    if (lookup->asked || lookup->starting) /* freed by the store's answer, or by lookup_start */
        return;
    verdict_unref(lookup->hit);
    free(lookup);
}

static void settle(struct lookup *lookup, enum lookup_kind kind, struct buf *body)
{
    if (!lookup->settled) {
        lookup->settled = true;
        lookup->done(lookup->opaque, kind, body);
    }
    release(lookup);
}

void lookup_cancel(struct lookup *lookup)
{
    lookup->settled = true;
    release(lookup);
}

static void on_miss_due(struct due *due)
{
    settle(OWNER_OF(due, struct lookup, due), LOOKUP_AWAY, NULL);
}

static int open_verdict(struct gateway *gw, const struct key_id *key, const struct uuid *sealed_id,
                        struct span sealed, struct buf *plain, struct err *err)
{
    BUF_AUTO struct buf aad = {.max = 512};
    struct envelope env = {.id = *sealed_id, .project = key->project};
    envelope_aad(&env, RECORD_verdict, &aad);
    return keystore_open_record(gw->keystore, key, sealed_id, buf_span(&aad), sealed, plain, err);
}

int verdict_permissive(struct gateway *gw, const struct verdict_seen *seen)
{
    BUF_AUTO struct buf plain = {.max = RECORD_BYTES_MAX};
    struct result *result = calloc(1, sizeof(*result));
    struct err err;
    int permissive = -1;
    CHECK(result);
    arena_reset(&gw->arena);
    if (open_verdict(gw, &seen->key, &seen->id, span_of(seen->value, seen->len), &plain, &err) ==
            0 &&
        result_unpack(buf_span(&plain), &gw->arena, result, &err) == 0 && result->has_evidence)
        permissive = result->evidence.permissive;
    if (plain.len)
        wipe(plain.data, plain.len);
    free(result);
    return permissive;
}

int verdict_body(struct gateway *gw, const struct key_id *key, const struct uuid *sealed_id,
                 struct span sealed, const struct uuid *shown, struct buf *out, struct err *err)
{
    BUF_AUTO struct buf plain = {.max = RECORD_BYTES_MAX};
    if (open_verdict(gw, key, sealed_id, sealed, &plain, err) != 0)
        return -1;
    int result = result_body(buf_span(&plain), shown, out, err);
    wipe(plain.data, plain.len);
    return result;
}

static void settle_sealed(struct lookup *lookup, const struct key_id *key,
                          const struct uuid *sealed_id, struct span sealed)
{
    struct buf body = {.max = 4 * RECORD_BYTES_MAX};
    struct err err;
    if (verdict_body(lookup->gw, key, sealed_id, sealed, &lookup->id, &body, &err) == 0) {
        settle(lookup, LOOKUP_BODY, &body);
        return;
    }
    buf_done(&body);
    if (err.code != ERR_ERASED)
        log_event(LOG_ERROR, "verdict_unreadable", kv_uuid("sub", sealed_id), kv_err(&err));
    settle(lookup, err.code == ERR_ERASED ? LOOKUP_NOTHING : LOOKUP_AWAY, NULL);
}

static void settle_hit(struct lookup *lookup)
{
    struct verdict_seen *hit = lookup->hit;
    if (!hit->value)
        settle(lookup, LOOKUP_AWAY, NULL);
    else
        settle_sealed(lookup, &hit->key, &hit->id, span_of(hit->value, hit->len));
}

static void settle_open(struct lookup *lookup, enum language language, int64_t created_ns)
{
    struct buf body = {.max = 4096};
    int64_t started_ns = 0;
    bool running = tails_running(lookup->gw->tails, &lookup->id, &started_ns);
    result_body_open(&lookup->id, language, running, created_ns, started_ns, &body);
    settle(lookup, LOOKUP_OPEN, &body);
}

static void search_tail(struct lookup *lookup)
{
    struct gateway *gw = lookup->gw;
    const struct sub *sub = sublog_find(&gw->subs, &lookup->id);
    if (sub) {
        lookup->known = true;
        lookup->language = sub->language;
        lookup->created_ns = sub->received_ns ? sub->received_ns : uuid_ms(&sub->id) * 1000000;
        lookup->submitted_ms = sub->timestamp_ms;
        if (!uuid_eq(&sub->project, &lookup->project->id)) {
            settle(lookup, LOOKUP_NOTHING, NULL);
            return;
        }
    }
    if (!lookup->hit) {
        lookup->hit = verdict_ref(verdictlog_find(&gw->verdicts, &lookup->id));
        if (lookup->hit && !uuid_eq(&lookup->hit->project, &lookup->project->id))
            settle(lookup, LOOKUP_NOTHING, NULL);
    }
}

static void wait_for_end(struct lookup *lookup, enum topic log)
{
    lookup->log = log;
    lookup->step = STEP_ENDS;
    list_join(lookup->gw->lookups, lookup);
}

/* Rule 25, the database away: a verdict of the tail counts, and "pending" is said, only when no
 * verdict can lie below the tail's begin; "pending" only behind the log's end. A submission that
 * the tail has not seen yet may have been acknowledged a moment ago: its log's end decides. */
static void without_database(struct lookup *lookup)
{
    struct gateway *gw = lookup->gw;
    bool again = lookup->step == STEP_AGAIN;
    bool complete =
        lookup->known && verdictlog_complete_for(&gw->verdicts, &lookup->id, lookup->submitted_ms);
    if (!lookup->known && !again) {
        wait_for_end(lookup, TOPIC_submissions);
    } else if (!complete) {
        settle(lookup, LOOKUP_AWAY, NULL);
    } else if (lookup->hit) {
        settle_hit(lookup);
    } else if (again && lookup->log == TOPIC_verdicts) {
        settle_open(lookup, lookup->language, lookup->created_ns);
    } else {
        wait_for_end(lookup, TOPIC_verdicts);
    }
}

static void on_alias(struct lookup *lookup, const struct store_result_row *row)
{
    /* The owner's verdict may be in the tail and not stored yet. */
    struct verdict_seen *seen = verdictlog_find(&lookup->gw->verdicts, &row->effective);
    if (seen && seen->value && uuid_eq(&seen->project, &lookup->project->id))
        settle_sealed(lookup, &seen->key, &seen->id, span_of(seen->value, seen->len));
    else
        settle_open(lookup, row->language, row->created_ns);
}

static void on_row(void *opaque, const struct store_result_row *row, const struct err *err)
{
    struct lookup *lookup = opaque;
    lookup->asked = false;
    if (lookup->settled) {
        release(lookup);
        return;
    }
    if (err->code) {
        without_database(lookup);
    } else if (row->erased) {
        settle(lookup, LOOKUP_NOTHING, NULL);
    } else if (row->has_verdict) {
        struct key_id key = {.project = lookup->project->id,
                             .retention_class = row->retention_class,
                             .day = uuid_day(&row->effective),
                             .number = row->key_number};
        settle_sealed(lookup, &key, &row->effective, row->sealed);
    } else if (lookup->hit) {
        settle_hit(lookup);
    } else if (row->found && !uuid_eq(&row->effective, &lookup->id)) {
        on_alias(lookup, row);
    } else if (row->found) {
        settle_open(lookup, row->language, row->created_ns);
    } else if (lookup->known) {
        settle_open(lookup, lookup->language, lookup->created_ns);
    } else if (lookup->step == STEP_AGAIN) {
        settle(lookup, LOOKUP_NOTHING, NULL);
    } else {
        wait_for_end(lookup, TOPIC_submissions);
    }
}

/* Tail, then row. */
static void look(struct lookup *lookup)
{
    lookup->asked = true; /* keeps it alive while it may be settled below */
    search_tail(lookup);
    lookup->asked = false;
    if (lookup->settled) {
        release(lookup);
        return;
    }
    struct gateway *gw = lookup->gw;
    lookup->asked = true;
    if (!gw->database ||
        store_result(gw->store, &lookup->project->id, lookup->project->retention_class, &lookup->id,
                     on_row, lookup) != 0) {
        lookup->asked = false;
        without_database(lookup);
    }
}

struct lookup *lookup_start(struct gateway *gw, struct project *project, const struct uuid *id,
                            lookup_fn *done, void *opaque)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    CHECK(lookup);
    lookup->gw = gw;
    lookup->project = project;
    lookup->id = *id;
    lookup->prev = lookup->next = lookup;
    lookup->done = done;
    lookup->opaque = opaque;
    due_arm(gw->loop, &gw->lookups->miss_due, &lookup->due);
    lookup->starting = true; /* not to be freed under us when it is settled at once */
    look(lookup);
    lookup->starting = false;
    if (!lookup->settled)
        return lookup;
    release(lookup);
    return NULL;
}

/* One request answers all that wait when it is sent; it does not block longer than its time-out.
 * Not answered, or not to be asked for now: they go on waiting until their own time is over. When
 * not even records are acknowledged they are told at once. */
static void ask_ends(struct lookups *lookups, enum topic log)
{
    struct gateway *gw = lookups->gw;
    int64_t ends[PARTITIONS];
    struct err err;
    bool any = false;
    for (struct lookup *at = lookups->waiting.next; at != &lookups->waiting && !any; at = at->next)
        any = at->step == STEP_ENDS && at->log == log;
    if (!any)
        return;
    bool known = false, away = submits_broker_away(gw->submits);
    if (gateway_may_ask_broker(gw)) {
        known = producer_end_offsets(gw->producer, topic_spec(log)->name, PARTITIONS, ends,
                                     ENDS_TIMEOUT_MS, &err) == 0;
        gateway_asked_broker(gw, known);
    }
    if (!known && !away)
        return;
    for (struct lookup *at = lookups->waiting.next, *next; at != &lookups->waiting; at = next) {
        next = at->next;
        if (at->step != STEP_ENDS || at->log != log)
            continue;
        if (!known) {
            settle(at, LOOKUP_AWAY, NULL);
            continue;
        }
        memcpy(at->ends, ends, sizeof(ends));
        at->step = STEP_PASS;
        tails_hurry(gw->tails);
    }
}

void lookups_tail_moved(struct lookups *lookups)
{
    for (struct lookup *at = lookups->waiting.next, *next; at != &lookups->waiting; at = next) {
        next = at->next;
        if (at->step != STEP_PASS || !tails_passed(lookups->gw->tails, at->log, at->ends))
            continue;
        list_leave(at);
        at->step = STEP_AGAIN;
        look(at);
    }
}

bool lookups_behind(const struct lookups *lookups)
{
    for (struct lookup *at = lookups->waiting.next; at != &lookups->waiting; at = at->next)
        if (at->step == STEP_PASS)
            return true;
    return false;
}

static int64_t on_turn(void *owner)
{
    struct lookups *lookups = owner;
    if (lookups->waiting.next == &lookups->waiting)
        return -1;
    if (loop_now_ms(lookups->gw->loop) - lookups->asked_ms >= ENDS_EVERY_MS) {
        lookups->asked_ms = loop_now_ms(lookups->gw->loop);
        ask_ends(lookups, TOPIC_submissions);
        ask_ends(lookups, TOPIC_verdicts);
    }
    lookups_tail_moved(lookups);
    if (lookups->waiting.next == &lookups->waiting)
        return -1;
    return gateway_may_ask_broker(lookups->gw) ? ENDS_EVERY_MS : PAUSED_MS;
}

struct lookups *lookups_new(struct gateway *gw)
{
    struct lookups *lookups = calloc(1, sizeof(*lookups));
    CHECK(lookups);
    lookups->gw = gw;
    lookups->waiting.prev = lookups->waiting.next = &lookups->waiting;
    loop_queue(gw->loop, &lookups->miss_due, MISS_MS, on_miss_due);
    loop_each_turn(gw->loop, on_turn, lookups);
    return lookups;
}

void lookups_free(struct lookups *lookups)
{
    free(lookups);
}

/* ---- GET /api/result/{id} ---- */

static void on_result(void *opaque, enum lookup_kind kind, struct buf *body)
{
    struct request *req = opaque;
    req->task = NULL;
    switch (kind) {
    case LOOKUP_BODY:
    case LOOKUP_OPEN:
        http_answer(req, 200, body);
        break;
    case LOOKUP_NOTHING:
        http_error(req, API_ERROR_not_found, "no submission of this project has that id");
        break;
    case LOOKUP_AWAY:
        http_error(req, API_ERROR_unavailable, "the result cannot be told now; ask again");
        break;
    }
}

static void on_gone(struct request *req)
{
    if (req->task)
        lookup_cancel(req->task);
}

void result_handle(struct request *req)
{
    struct gateway *gw = gateway_of(req);
    struct uuid id;
    if (uuid_parse(span_text(req->tail), &id) != 0) {
        http_error(req, API_ERROR_invalid_request, "the id in the path is not a UUID");
        return;
    }
    if (!uuid_is_v7(&id)) {
        http_error(req, API_ERROR_not_found, "no submission of this project has that id");
        return;
    }
    req->gone = on_gone;
    struct lookup *lookup = lookup_start(gw, req->project, &id, on_result, req);
    if (!req->answered)
        req->task = lookup;
}
