/* POST /api/submit: requests come in here, are parsed and given a place, and end here; an answer
 * comes only after the broker's acknowledgement.
 *
 * When the broker is away: a record not acknowledged within ACK_MS is answered 503; it may still
 * reach the log within rule 6's 5 minutes, which a retry with the same Idempotency-Key makes
 * harmless. As long as the oldest record in flight is older than AWAY_MS, new requests get 503
 * without producing anything. */
#include "producers/gateway/submit_impl.h"
#include <stdio.h>

#define ACK_MS 10000
#define AWAY_MS 3000

void submit_list_init(struct submit *head)
{
    head->prev = head->next = head;
}

void submit_list_leave(struct submit *sub)
{
    sub->prev->next = sub->next;
    sub->next->prev = sub->prev;
    submit_list_init(sub);
}

void submit_list_join(struct submit *head, struct submit *sub)
{
    submit_list_leave(sub);
    sub->prev = head->prev;
    sub->next = head;
    sub->prev->next = sub;
    head->prev = sub;
}

/* The request is over; the record may still be in flight. */
void submit_finish(struct submit *sub)
{
    sub->req = NULL;
    due_disarm(&sub->due);
    submit_hold_leave(sub);
    submit_wait_leave(sub);
    if (sub->has_place)
        sub->subs->places--;
    sub->has_place = false;
    if (sub->lookup) {
        lookup_cancel(sub->lookup);
        sub->lookup = NULL;
    }
    if (sub->in_flight || sub->asked)
        return;
    submit_list_leave(sub);
    free(sub->records);
    free(sub);
}

static void on_gone(struct request *req)
{
    submit_finish(req->task);
}

int submit_parse(struct submit *sub, char field[FIELD_NAME], struct err *err)
{
    struct submits *subs = sub->subs;
    arena_reset(&subs->gw->arena);
    buf_clear(&subs->plain);
    if (submission_parse(buf_span(&sub->req->body), &subs->gw->arena, &sub->sub, field, err) != 0)
        return -1;
    if (sub->sub.webhook_url.data &&
        webhook_url_check(&subs->gw->urls, sub->sub.webhook_url, err) != 0) {
        snprintf(field, FIELD_NAME, "webhook_url");
        return err_wrap(err, "webhook_url");
    }
    return submission_pack(&sub->sub, &subs->plain, err);
}

static void on_rows_before(void *opaque, const struct key_record *rows, size_t count,
                           const struct err *err)
{
    struct submit *sub = opaque;
    char field[FIELD_NAME];
    struct err ignored;
    sub->asked = false;
    if (!sub->req) {
        submit_finish(sub);
        return;
    }
    if (!err->code && owner_find(rows, count, uuid_day(&sub->id))) {
        submit_tell_judged(sub, rows, count);
        return;
    }
    /* Other requests used the buffers meanwhile; the body is still there and known to be good. */
    if (submit_parse(sub, field, &ignored) != 0)
        submit_answer_error(sub, API_ERROR_internal, api_error_message(API_ERROR_internal));
    else
        submit_send(sub);
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
    submit_finish(sub);
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
    submit_list_init(sub);
    sub->flight.delivered = submit_delivered;
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
    if (submit_parse(sub, field, &err) != 0) {
        refuse_body(sub, field, &err);
        return;
    }
    if (req->head.has_idempotency_key && key_of(sub, &err) != 0) {
        submit_answer_error(sub, API_ERROR_invalid_field, err.message);
        return;
    }
    if (submits_broker_away(subs)) {
        submit_answer_error(sub, API_ERROR_unavailable, SUBMIT_LOG_AWAY);
        return;
    }
    if (waits && !take_place(sub)) {
        submit_answer_error(
            sub, API_ERROR_unavailable,
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
    if (!submit_hold(sub))
        submit_send(sub);
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
    submit_list_init(&subs->held);
    submit_list_init(&subs->flights);
    submit_list_init(&subs->behind);
    buf_init(&subs->plain, RECORD_BYTES_MAX);
    buf_init(&subs->sealed, RECORD_BYTES_MAX);
    buf_init(&subs->canonical, RECORD_BYTES_MAX);
    buf_init(&subs->aad, 1024);
    loop_queue(gw->loop, &subs->ack_due, ACK_MS, submit_ack_due);
    loop_queue(gw->loop, &subs->wait_due, config_ms(gw->config, SETTING_gateway_wait_timeout),
               submit_wait_due);
    loop_each_turn(gw->loop, submit_hold_turn, subs);
    return subs;
}

void submits_free(struct submits *subs)
{
    if (!subs)
        return;
    struct submit *heads[] = {&subs->held, &subs->flights, &subs->behind};
    for (size_t i = 0; i < 3; i++)
        while (heads[i]->next != heads[i]) {
            struct submit *sub = heads[i]->next;
            sub->in_flight = sub->asked = false;
            submit_finish(sub);
        }
    buf_done(&subs->plain);
    buf_done(&subs->sealed);
    buf_done(&subs->canonical);
    buf_done(&subs->aad);
    free(subs->waiters.buckets);
    free(subs);
}
