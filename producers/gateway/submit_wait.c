/* Answers of POST /api/submit, and the requests that wait for a verdict. */
#include "producers/gateway/submit_impl.h"

void submit_wait_leave(struct submit *sub)
{
    if (!sub->has_waiter)
        return;
    sub->has_waiter = false;
    table_remove(&sub->subs->waiters, &sub->waiter);
}

void submit_answer_error(struct submit *sub, enum api_error error, const char *message)
{
    if (sub->req && error == API_ERROR_unavailable)
        http_header(sub->req, "Retry-After", "1");
    if (sub->req)
        http_error(sub->req, error, "%s", message);
    submit_finish(sub);
}

static void answer(struct submit *sub, int status, struct buf *body)
{
    if (sub->req)
        http_answer(sub->req, status, body);
    else
        buf_done(body);
    submit_finish(sub);
}

static void answer_accepted(struct submit *sub)
{
    struct buf body = {.max = 512};
    char id[UUID_TEXT];
    uuid_format(&sub->told, id);
    buf_printf(&body, "{\"id\":\"%s\",\"job_status\":\"pending\",\"queue_depth\":%lld}", id,
               (long long)gateway_queue_depth(sub->subs->gw));
    answer(sub, 202, &body);
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
    answer(sub, 408, &body);
}

/* A verdict that cannot be sent now is not lost: the client is told its id, as when the wait ends.
 */
void submit_answer_body(struct submit *sub, int status, struct buf *body)
{
    if (!sub->req || http_has_room(sub->req, body->len)) {
        answer(sub, status, body);
        return;
    }
    buf_done(body);
    answer_wait_over(sub);
}

void submit_wait_due(struct due *due)
{
    answer_wait_over(OWNER_OF(due, struct submit, due));
}

/* ---- waiting for a verdict ---- */

static void on_looked(void *opaque, enum lookup_kind kind, struct buf *body)
{
    struct submit *sub = opaque;
    sub->lookup = NULL;
    if (kind == LOOKUP_BODY)
        submit_answer_body(sub, 200, body);
    else if (kind == LOOKUP_NOTHING)
        submit_answer_error(sub, API_ERROR_not_found, "the submission was erased");
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
        submit_finish(sub);
    else
        sub->lookup = lookup;
}

void submit_tell(struct submit *sub, const struct uuid *id)
{
    sub->told = *id;
    if (!sub->req)
        submit_finish(sub);
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
        if (sub->sent_ms) /* else it waits for a repeat's owner */
            submit_took(subs, loop_now_ms(subs->gw->loop) - sub->sent_ms);
        struct buf body = {.max = 4 * RECORD_BYTES_MAX};
        struct err err;
        if (verdict_body(subs->gw, &seen->key, &seen->id, span_of(seen->value, seen->len),
                         &sub->told, &body, &err) == 0) {
            submit_answer_body(sub, 200, &body);
            continue;
        }
        buf_done(&body);
        if (err.code == ERR_ERASED)
            submit_answer_error(sub, API_ERROR_not_found, "the submission was erased");
        else
            log_event(LOG_ERROR, "verdict_unreadable", kv_uuid("sub", &seen->id), kv_err(&err));
    }
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
