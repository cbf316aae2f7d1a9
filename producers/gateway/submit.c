/* POST /api/submit: parse, seal, produce, and answer only after the broker's acknowledgement.
 *
 * A keyed request follows delivery.md rule 9: a stored owner answers at once; else produce, await
 * the acknowledgement and the own tail behind the own offset, then compute the owner as validate
 * does. With the database away the answer is the own id, which admission resolves.
 *
 * When the broker is away: a record not acknowledged within ACK_MS is answered 503; it may still
 * reach the log within rule 6's 5 minutes, which a retry with the same Idempotency-Key makes
 * harmless. As long as the oldest record in flight is older than AWAY_MS, new requests get 503
 * without producing anything. */
#include "lib/base/enc.h"
#include "producers/gateway/gateway.h"
#include "schemas/payload.h"

#define ACK_MS 10000
#define AWAY_MS 3000
#define POLICY "1"

enum phase { PHASE_OWNER, PHASE_FLIGHT, PHASE_TAIL, PHASE_ROWS, PHASE_WAIT };

struct submit {
    struct flight flight;
    struct submit *prev, *next; /* in flight, or waiting for the own tail */
    struct submits *subs;
    struct request *req; /* NULL: answered or gone */
    struct project *project;
    enum phase phase;
    bool wait, keyed, in_flight, asked, has_waiter, has_place;
    struct uuid id, told;
    uint8_t key_hash[32], fingerprint[32];
    struct submission sub; /* spans into the body's arena while it is parsed */
    int32_t partition;
    int64_t offset, sent_ms, sent_ns;
    struct key_record *records; /* of the own tail */
    size_t record_count;
    struct lookup *lookup;
    struct node waiter;
    struct due due;
};

struct submits {
    struct gateway *gw;
    struct submit flights, behind; /* list heads */
    struct table waiters;          /* by told id */
    size_t places, in_flight; /* places: requests that wait, or will once they are acknowledged */
    struct due_queue ack_due, wait_due;
    struct buf plain, sealed, canonical, aad, text; /* reused */
};

static void list_init(struct submit *head)
{
    head->prev = head->next = head;
}

static void list_leave(struct submit *sub)
{
    sub->prev->next = sub->next;
    sub->next->prev = sub->prev;
    list_init(sub);
}

static void list_join(struct submit *head, struct submit *sub)
{
    list_leave(sub);
    sub->prev = head->prev;
    sub->next = head;
    sub->prev->next = sub;
    head->prev = sub;
}

static void waiter_leave(struct submit *sub)
{
    if (!sub->has_waiter)
        return;
    sub->has_waiter = false;
    table_remove(&sub->subs->waiters, &sub->waiter);
}

/* The request is over; the record may still be in flight. */
static void finish(struct submit *sub)
{
    sub->req = NULL;
    due_disarm(&sub->due);
    waiter_leave(sub);
    if (sub->has_place)
        sub->subs->places--;
    sub->has_place = false;
    if (sub->lookup) {
        lookup_cancel(sub->lookup);
        sub->lookup = NULL;
    }
    if (sub->in_flight || sub->asked)
        return;
    list_leave(sub);
    free(sub->records);
    free(sub);
}

static void on_gone(struct request *req)
{
    finish(req->task);
}

static void answer_error(struct submit *sub, enum api_error error, const char *message)
{
    if (sub->req && error == API_ERROR_unavailable)
        http_header(sub->req, "Retry-After", "1");
    if (sub->req)
        http_error(sub->req, error, "%s", message);
    finish(sub);
}

static void answer_body(struct submit *sub, int status, struct buf *body)
{
    if (sub->req)
        http_answer(sub->req, status, body);
    finish(sub);
}

static void answer_accepted(struct submit *sub)
{
    struct buf body = {.max = 512};
    char id[UUID_TEXT];
    uuid_format(&sub->told, id);
    buf_printf(&body, "{\"id\":\"%s\",\"job_status\":\"pending\",\"queue_depth\":%lld}", id,
               (long long)gateway_queue_depth(sub->subs->gw));
    answer_body(sub, 202, &body);
}

static void answer_wait_over(struct submit *sub)
{
    struct buf body = {.max = 1024};
    char id[UUID_TEXT];
    uuid_format(&sub->told, id);
    buf_printf(&body, "{\"id\":\"%s\",\"error\":\"timeout\",\"message\":", id);
    json_quote(span_text(api_error_message(API_ERROR_timeout)), &body);
    buf_puts(&body, ",\"request_id\":");
    json_quote(span_text(sub->req->request_id), &body);
    buf_puts(&body, "}");
    answer_body(sub, 408, &body);
}

static void on_ack_due(struct due *due)
{
    struct submit *sub = OWNER_OF(due, struct submit, due);
    /* Accepted, but whose the key is was not found out in time: no id is told, a repeat asks again.
     */
    if (sub->phase == PHASE_TAIL || sub->phase == PHASE_ROWS)
        answer_error(sub, API_ERROR_unavailable,
                     "the Idempotency-Key could not be looked up in time; send it again");
    else
        answer_error(sub, API_ERROR_unavailable,
                     "no acknowledgement in time; send it again with the same Idempotency-Key");
}

static void on_wait_due(struct due *due)
{
    answer_wait_over(OWNER_OF(due, struct submit, due));
}

/* ---- waiting for a verdict ---- */

static void on_looked(void *opaque, enum lookup_kind kind, struct buf *body)
{
    struct submit *sub = opaque;
    sub->lookup = NULL;
    if (kind == LOOKUP_BODY)
        answer_body(sub, 200, body);
    else if (kind == LOOKUP_NOTHING)
        answer_error(sub, API_ERROR_not_found, "the submission was erased");
    else if (body)
        buf_done(body); /* open: the waiter is registered */
}

static void start_wait(struct submit *sub, bool may_be_over)
{
    struct submits *subs = sub->subs;
    sub->phase = PHASE_WAIT;
    sub->has_waiter = true;
    table_add(&subs->waiters, &sub->waiter, table_hash(sub->told.bytes));
    due_arm(subs->gw->loop, &subs->wait_due, &sub->due);
    struct verdict_seen *seen = verdictlog_find(&subs->gw->verdicts, &sub->told);
    if (!may_be_over && !seen)
        return;
    sub->asked = true; /* may be answered before lookup_start returns */
    struct lookup *lookup = lookup_start(subs->gw, sub->project, &sub->told, on_looked, sub);
    sub->asked = false;
    if (!sub->req)
        finish(sub);
    else
        sub->lookup = lookup;
}

static void tell(struct submit *sub, const struct uuid *id)
{
    sub->told = *id;
    if (!sub->req)
        finish(sub);
    else if (!sub->wait)
        answer_accepted(sub);
    else
        start_wait(sub, !uuid_eq(id, &sub->id));
}

/* The first verdict of an id after its submission: the row will say the same (rule 25). */
void submits_verdict(struct submits *subs, struct verdict_seen *seen)
{
    struct node *next;
    for (struct node *node = table_first(&subs->waiters, table_hash(seen->id.bytes)); node;
         node = next) {
        next = table_next(node);
        struct submit *sub = OWNER_OF(node, struct submit, waiter);
        if (!uuid_eq(&sub->told, &seen->id) || !seen->value ||
            !uuid_eq(&sub->project->id, &seen->project))
            continue;
        struct buf body = {.max = 4 * RECORD_BYTES_MAX};
        struct err err;
        if (verdict_body(subs->gw, &seen->key, &seen->id, span_of(seen->value, seen->len),
                         &sub->told, &body, &err) == 0) {
            answer_body(sub, 200, &body);
            continue;
        }
        buf_done(&body);
        if (err.code == ERR_ERASED)
            answer_error(sub, API_ERROR_not_found, "the submission was erased");
        else
            log_event(LOG_ERROR, "verdict_unreadable", kv_uuid("sub", &seen->id), kv_err(&err));
    }
}

/* ---- who owns the key ---- */

static void tell_judged(struct submit *sub, const struct key_record *records, size_t count)
{
    const struct key_record *owner = NULL;
    switch (owner_judge(records, count, uuid_day(&sub->id), sub->fingerprint, &owner)) {
    case KEY_FREE:
        tell(sub, &sub->id);
        break;
    case KEY_REPEAT:
        tell(sub, &owner->id);
        break;
    case KEY_CONFLICT:
        answer_error(sub, API_ERROR_idempotency_conflict,
                     api_error_message(API_ERROR_idempotency_conflict));
        break;
    case KEY_ERASED:
        answer_error(sub, API_ERROR_erased, api_error_message(API_ERROR_erased));
        break;
    }
}

static void on_rows_after(void *opaque, const struct key_record *rows, size_t count,
                          const struct err *err)
{
    struct submit *sub = opaque;
    sub->asked = false;
    if (!sub->req) {
        finish(sub);
        return;
    }
    if (err->code) {
        tell(sub, &sub->id); /* rule 9: the database is away */
        return;
    }
    struct key_record *all = calloc(count + sub->record_count + 1, sizeof(*all));
    CHECK(all);
    memcpy(all, rows, count * sizeof(*all));
    if (sub->record_count)
        memcpy(all + count, sub->records, sub->record_count * sizeof(*all));
    size_t folded = owner_fold(all, count, count + sub->record_count, sub->offset);
    tell_judged(sub, all, folded);
    free(all);
}

/* The own tail has passed the own offset: search it, then the rows. */
static void decide_owner(struct submit *sub)
{
    struct gateway *gw = sub->subs->gw;
    sub->phase = PHASE_ROWS;
    size_t count = sublog_key(&gw->subs, &sub->project->id, sub->key_hash, NULL, 0);
    if (count > 1) { /* more than the own record */
        sub->records = calloc(count, sizeof(*sub->records));
        CHECK(sub->records);
        sub->record_count =
            sublog_key(&gw->subs, &sub->project->id, sub->key_hash, sub->records, count);
    }
    sub->asked = true;
    if (!gw->database || store_key(gw->store, &sub->project->id, sub->key_hash, uuid_day(&sub->id),
                                   on_rows_after, sub) != 0) {
        sub->asked = false;
        tell(sub, &sub->id);
    }
}

void submits_tail_moved(struct submits *subs)
{
    for (struct submit *sub = subs->behind.next, *next; sub != &subs->behind; sub = next) {
        next = sub->next;
        if (!tails_passed_at(subs->gw->tails, sub->partition, sub->offset))
            continue;
        list_leave(sub);
        decide_owner(sub);
    }
}

static void on_delivered(struct flight *flight, const struct delivery *delivery)
{
    struct submit *sub = OWNER_OF(flight, struct submit, flight);
    struct gateway *gw = sub->subs->gw;
    sub->in_flight = false;
    sub->subs->in_flight--;
    list_leave(sub);
    if (delivery->err.code) {
        log_event(LOG_WARN, "produce_failed", kv_err(&delivery->err));
        if (err_class(delivery->err.code) == ERR_FATAL)
            gateway_fatal(gw, &delivery->err);
        answer_error(sub, API_ERROR_unavailable, api_error_message(API_ERROR_unavailable));
        return;
    }
    metric_add(METRIC_records_out_total, "submissions", 1);
    metric_observe(METRIC_produce_seconds, NULL,
                   (uint64_t)(gw->clock.mono_ns(&gw->clock) - sub->sent_ns));
    gateway_asked_broker(gw, true);
    if (!sub->req) {
        finish(sub);
        return;
    }
    sub->offset = delivery->offset;
    if (!sub->keyed || !gw->database) {
        tell(sub, &sub->id);
        return;
    }
    sub->phase = PHASE_TAIL;
    list_join(&sub->subs->behind, sub);
    if (tails_passed_at(gw->tails, sub->partition, sub->offset)) {
        list_leave(sub);
        decide_owner(sub);
    }
}

/* ---- producing ---- */

static int seal(struct submit *sub, struct envelope *env, struct err *err)
{
    struct submits *subs = sub->subs;
    struct gateway *gw = subs->gw;
    struct key_id key;
    buf_clear(&subs->aad);
    buf_clear(&subs->sealed);
    if (keystore_current(gw->keystore, &sub->project->id, sub->project->retention_class,
                         uuid_day(&sub->id), &key, err) != 0)
        return -1;
    env->key_number = key.number;
    envelope_aad(env, RECORD_submission, &subs->aad);
    return keystore_seal(gw->keystore, &key, &sub->id, buf_span(&subs->aad), buf_span(&subs->plain),
                         &subs->sealed, err);
}

static int produce(struct submit *sub, const struct request *req, struct err *err)
{
    struct submits *subs = sub->subs;
    struct gateway *gw = subs->gw;
    struct envelope env = {.type = RECORD_submission,
                           .version = 1,
                           .id = sub->id,
                           .project = sub->project->id,
                           .retention_class = sub->project->retention_class,
                           .keyed = sub->keyed,
                           .language = sub->sub.language,
                           .profile = sub->sub.profile,
                           .lane = LANE_INTERACTIVE,
                           .origin = "api",
                           .policy = POLICY,
                           .times = {.received = req->received_ns}};
    memcpy(env.traceparent, req->traceparent, sizeof(env.traceparent));
    memcpy(env.key_hash, sub->key_hash, 32);
    memcpy(env.fingerprint, sub->fingerprint, 32);
    if (seal(sub, &env, err) != 0)
        return -1;
    env.times.produced = gateway_wall_ns(gw);
    if (signing_sign(&gw->signing, "gateway", buf_span(&subs->sealed), &env, err) != 0)
        return -1;
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct bus_header out[ENVELOPE_HEADERS_MAX];
    arena_reset(&gw->arena);
    size_t count = envelope_encode(&env, &gw->arena, headers);
    if (count == 0)
        return err_set(err, ERR_BUG, "the envelope does not fit its arena");
    for (size_t i = 0; i < count; i++)
        out[i] = (struct bus_header){headers[i].name, headers[i].value};
    char key[UUID_TEXT];
    uuid_format(&sub->id, key);
    sub->partition = envelope_partition(&env, TOPIC_submissions);
    return producer_send(gw->producer, topic_spec(TOPIC_submissions)->name, sub->partition,
                         span_text(key), out, count, buf_span(&subs->sealed), &sub->flight, err);
}

/* The parsed submission is in subs->plain; the arena of the body is gone. */
static void send_now(struct submit *sub)
{
    struct submits *subs = sub->subs;
    struct gateway *gw = subs->gw;
    struct err err = {0};
    if (produce(sub, sub->req, &err) != 0) {
        log_event(LOG_ERROR, "submit_failed", kv_err(&err));
        if (err.code == ERR_ERASED)
            answer_error(sub, API_ERROR_forbidden, "the data of this project's day was destroyed");
        else
            answer_error(sub, API_ERROR_unavailable, api_error_message(API_ERROR_unavailable));
        return;
    }
    sub->phase = PHASE_FLIGHT;
    sub->in_flight = true;
    subs->in_flight++;
    sub->sent_ms = loop_now_ms(gw->loop);
    sub->sent_ns = gw->clock.mono_ns(&gw->clock);
    list_join(&subs->flights, sub);
    due_arm(gw->loop, &subs->ack_due, &sub->due);
    http_drop_body(sub->req);
}

static int parse_into(struct submit *sub, char field[FIELD_NAME], struct err *err)
{
    struct submits *subs = sub->subs;
    arena_reset(&subs->gw->arena);
    buf_clear(&subs->plain);
    if (submission_parse(buf_span(&sub->req->body), &subs->gw->arena, &sub->sub, field, err) != 0)
        return -1;
    return submission_pack(&sub->sub, &subs->plain, err);
}

static void on_rows_before(void *opaque, const struct key_record *rows, size_t count,
                           const struct err *err)
{
    struct submit *sub = opaque;
    const struct key_record *owner = NULL;
    char field[FIELD_NAME];
    struct err ignored;
    sub->asked = false;
    if (!sub->req) {
        finish(sub);
        return;
    }
    if (!err->code && (owner = owner_find(rows, count, uuid_day(&sub->id)))) {
        tell_judged(sub, rows, count);
        return;
    }
    /* Other requests used the buffers meanwhile; the body is still there and known to be good. */
    if (parse_into(sub, field, &ignored) != 0)
        answer_error(sub, API_ERROR_internal, api_error_message(API_ERROR_internal));
    else
        send_now(sub);
}

/* Rule 7: of the key as sent, and of the canonical body. */
static int key_of(struct submit *sub, struct err *err)
{
    struct submits *subs = sub->subs;
    struct span secret = span_of(sub->project->secret.bytes, 32), key;
    if (idempotency_key_parse(sub->req->head.idempotency_key, &subs->gw->arena, &key, err) != 0)
        return -1;
    buf_clear(&subs->canonical);
    if (submission_canonical(&sub->sub, &subs->canonical, err) != 0)
        return -1;
    hmac_sha256(secret, key, sub->key_hash);
    hmac_sha256(secret, buf_span(&subs->canonical), sub->fingerprint);
    sub->keyed = true;
    return 0;
}

static void refuse_body(struct submit *sub, const char *field, const struct err *err)
{
    struct request *req = sub->req;
    enum api_error error = submission_api_error(err, field);
    http_error(req, error, "%s", err->message);
    finish(sub);
}

/* Taken before anything is produced: who is refused for want of a place has nothing accepted. */
static bool take_place(struct submit *sub)
{
    struct submits *subs = sub->subs;
    if (subs->places >= (size_t)config_int(subs->gw->config, SETTING_gateway_max_waiters))
        return false;
    sub->has_place = true;
    subs->places++;
    http_watch_client(sub->req);
    return true;
}

void submit_handle(struct request *req)
{
    struct gateway *gw = gateway_of(req);
    struct submits *subs = gw->submits;
    const char *wait = http_query(req, "wait");
    bool waits = wait && (strcmp(wait, "true") == 0 || strcmp(wait, "1") == 0);
    if (wait && !waits && strcmp(wait, "false") != 0 && strcmp(wait, "0") != 0) {
        http_error(req, API_ERROR_invalid_field, "wait: must be true or false");
        return;
    }
    struct submit *sub = calloc(1, sizeof(*sub));
    CHECK(sub);
    list_init(sub);
    sub->flight.delivered = on_delivered;
    sub->subs = subs;
    sub->req = req;
    sub->project = req->project;
    sub->wait = waits;
    sub->id = uuid_v7(&gw->clock, &gw->rnd);
    sub->told = sub->id;
    req->task = sub;
    req->gone = on_gone;
    char field[FIELD_NAME] = "";
    struct err err = {0};
    if (parse_into(sub, field, &err) != 0) {
        refuse_body(sub, field, &err);
        return;
    }
    if (req->head.has_idempotency_key && key_of(sub, &err) != 0) {
        answer_error(sub, API_ERROR_invalid_field, err.message);
        return;
    }
    if (submits_broker_away(subs)) {
        answer_error(sub, API_ERROR_unavailable,
                     "the log is away; nothing was accepted, send it again");
        return;
    }
    if (waits && !take_place(sub)) {
        answer_error(sub, API_ERROR_unavailable,
                     "too many requests wait; nothing was accepted, send it again or without wait");
        return;
    }
    sub->asked = true;
    if (sub->keyed && gw->database &&
        store_key(gw->store, &sub->project->id, sub->key_hash, uuid_day(&sub->id), on_rows_before,
                  sub) == 0) {
        due_arm(gw->loop, &subs->ack_due, &sub->due);
        return;
    }
    sub->asked = false;
    send_now(sub);
}

/* ---- life ---- */

bool submits_broker_away(const struct submits *subs)
{
    return subs->flights.next != &subs->flights &&
           loop_now_ms(subs->gw->loop) - subs->flights.next->sent_ms > AWAY_MS;
}

size_t submits_in_flight(const struct submits *subs)
{
    return subs->in_flight;
}

size_t submits_waiting(const struct submits *subs)
{
    return subs->places;
}

struct submits *submits_new(struct gateway *gw)
{
    struct submits *subs = calloc(1, sizeof(*subs));
    CHECK(subs);
    subs->gw = gw;
    list_init(&subs->flights);
    list_init(&subs->behind);
    buf_init(&subs->plain, RECORD_BYTES_MAX);
    buf_init(&subs->sealed, RECORD_BYTES_MAX);
    buf_init(&subs->canonical, RECORD_BYTES_MAX);
    buf_init(&subs->aad, 1024);
    buf_init(&subs->text, 4096);
    loop_queue(gw->loop, &subs->ack_due, ACK_MS, on_ack_due);
    loop_queue(gw->loop, &subs->wait_due, config_ms(gw->config, SETTING_gateway_wait_timeout),
               on_wait_due);
    return subs;
}

static void end_wait(struct request *req)
{
    if (req->route->handle == submit_handle && ((struct submit *)req->task)->phase == PHASE_WAIT)
        answer_wait_over(req->task);
}

void submits_stop(struct submits *subs)
{
    http_each_parked(subs->gw->http, end_wait);
}

void submits_free(struct submits *subs)
{
    if (!subs)
        return;
    struct submit *heads[] = {&subs->flights, &subs->behind};
    for (size_t i = 0; i < 2; i++)
        while (heads[i]->next != heads[i]) {
            struct submit *sub = heads[i]->next;
            sub->in_flight = sub->asked = false;
            finish(sub);
        }
    buf_done(&subs->plain);
    buf_done(&subs->sealed);
    buf_done(&subs->canonical);
    buf_done(&subs->aad);
    buf_done(&subs->text);
    free(subs->waiters.buckets);
    free(subs);
}
