/* From a parsed submission to an acknowledged record, and the owner of its Idempotency-Key.
 *
 * A keyed request follows delivery.md rule 9: a stored owner answers at once (submit.c); else
 * produce, await the acknowledgement and the own tail behind the own offset, then compute the owner
 * as validate does. With the database away the answer is the own id, which admission resolves. */
#include "producers/gateway/submit_impl.h"

#define POLICY "1"

/* ---- who owns the key ---- */

void submit_tell_judged(struct submit *sub, const struct key_record *records, size_t count)
{
    const struct key_record *owner = NULL;
    switch (owner_judge(records, count, uuid_day(&sub->id), sub->fingerprint, &owner)) {
    case KEY_FREE:
        submit_tell(sub, &sub->id);
        break;
    case KEY_REPEAT:
        submit_tell(sub, &owner->id);
        break;
    case KEY_CONFLICT:
        submit_answer_error(sub, API_ERROR_idempotency_conflict,
                            api_error_message(API_ERROR_idempotency_conflict));
        break;
    case KEY_ERASED:
        submit_answer_error(sub, API_ERROR_erased, api_error_message(API_ERROR_erased));
        break;
    }
}

static void on_rows_after(void *opaque, const struct key_record *rows, size_t count,
                          const struct err *err)
{
    struct submit *sub = opaque;
    sub->asked = false;
    if (!sub->req) {
        submit_finish(sub);
        return;
    }
    if (err->code) {
        submit_tell(sub, &sub->id); /* rule 9: the database is away */
        return;
    }
    struct key_record *all = calloc(count + sub->record_count + 1, sizeof(*all));
    CHECK(all);
    memcpy(all, rows, count * sizeof(*all));
    if (sub->record_count)
        memcpy(all + count, sub->records, sub->record_count * sizeof(*all));
    size_t folded = owner_fold(all, count, count + sub->record_count, sub->offset);
    submit_tell_judged(sub, all, folded);
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
        submit_tell(sub, &sub->id);
    }
}

void submits_tail_moved(struct submits *subs)
{
    for (struct submit *sub = subs->behind.next, *next; sub != &subs->behind; sub = next) {
        next = sub->next;
        if (!tails_passed_at(subs->gw->tails, sub->partition, sub->offset))
            continue;
        submit_list_leave(sub);
        decide_owner(sub);
    }
}

bool submits_behind(const struct submits *subs)
{
    return subs->behind.next != &subs->behind;
}

/* ---- producing ---- */

void submit_delivered(struct flight *flight, const struct delivery *delivery)
{
    struct submit *sub = OWNER_OF(flight, struct submit, flight);
    struct gateway *gw = sub->subs->gw;
    sub->in_flight = false;
    sub->subs->in_flight--;
    submit_list_leave(sub);
    if (delivery->err.code) {
        log_event(LOG_WARN, "produce_failed", kv_err(&delivery->err));
        if (err_class(delivery->err.code) == ERR_FATAL)
            gateway_fatal(gw, &delivery->err);
        submit_answer_error(sub, API_ERROR_unavailable, api_error_message(API_ERROR_unavailable));
        return;
    }
    metric_add(METRIC_records_out_total, "submissions", 1);
    metric_observe(METRIC_produce_seconds, NULL,
                   (uint64_t)(gw->clock.mono_ns(&gw->clock) - sub->sent_ns));
    gateway_asked_broker(gw, true);
    if (gw->tails)
        tails_sent(gw->tails, sub->project, sub->partition, delivery->offset);
    if (!sub->req) {
        submit_finish(sub);
        return;
    }
    sub->offset = delivery->offset;
    if (!sub->keyed || !gw->database) {
        submit_tell(sub, &sub->id);
        return;
    }
    sub->phase = PHASE_TAIL;
    submit_list_join(&sub->subs->behind, sub);
    if (tails_passed_at(gw->tails, sub->partition, sub->offset)) {
        submit_list_leave(sub);
        decide_owner(sub);
        return;
    }
    tails_hurry(gw->tails);
}

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
void submit_send(struct submit *sub)
{
    struct submits *subs = sub->subs;
    struct gateway *gw = subs->gw;
    struct err err = {0};
    if (produce(sub, sub->req, &err) != 0) {
        log_event(LOG_ERROR, "submit_failed", kv_err(&err));
        if (err.code == ERR_ERASED)
            submit_answer_error(sub, API_ERROR_forbidden,
                                "the data of this project's day was destroyed");
        else
            submit_answer_error(sub, API_ERROR_unavailable,
                                api_error_message(API_ERROR_unavailable));
        return;
    }
    sub->phase = PHASE_FLIGHT;
    sub->in_flight = true;
    subs->in_flight++;
    sub->sent_ms = loop_now_ms(gw->loop);
    sub->sent_ns = gw->clock.mono_ns(&gw->clock);
    submit_list_join(&subs->flights, sub);
    due_arm(gw->loop, &subs->ack_due, &sub->due);
    http_drop_body(sub->req);
}

void submit_ack_due(struct due *due)
{
    struct submit *sub = OWNER_OF(due, struct submit, due);
    /* Accepted, but whose the key is was not found out in time: no id is told, a repeat asks again.
     */
    if (sub->phase == PHASE_TAIL || sub->phase == PHASE_ROWS)
        submit_answer_error(sub, API_ERROR_unavailable,
                            "the Idempotency-Key could not be looked up in time; send it again");
    else
        submit_answer_error(
            sub, API_ERROR_unavailable,
            "no acknowledgement in time; send it again with the same Idempotency-Key");
}
