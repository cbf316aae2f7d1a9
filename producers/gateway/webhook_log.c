/* What became of an endpoint's messages: deliveries, attempts, and asking for them again. */
#include "lib/base/enc.h"
#include "producers/gateway/webhooks_impl.h"
#include "schemas/webhook.h"
#include <stdio.h>

#define PAGE_BYTES_MAX (1024 * 1024)

static const char *const states[] = {"pending", "delivered", "dead", "dropped"};

static int find_state(struct request *req, const char *text)
{
    for (size_t i = 0; i < COUNT_OF(states); i++)
        if (strcmp(states[i], text) == 0)
            return 0;
    http_error(req, API_ERROR_invalid_field, "state: must be pending, delivered, dead or dropped");
    return -1;
}

/* An endpoint without any is one row of NULLs; no row: there is no such endpoint. */
static void on_page(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    if (!hook_ok(hook, err))
        return;
    size_t count = db_rows(rows);
    if (count == 0)
        hook_refuse(hook, API_ERROR_not_found, HOOK_UNKNOWN);
    else if (db_is_null(rows, 0, 0) && db_is_null(rows, 0, 1))
        hook_list(hook, hook->list, rows, 0);
    else
        hook_list(hook, hook->list, rows, count);
}

/* ---- deliveries: one for each message ---- */

static void put_delivery(struct buf *out, const void *owner, const struct db_result *rows,
                         size_t row)
{
    (void)owner;
    bool relayed = !db_is_null(rows, row, 10);
    char at[RFC3339_TEXT];
    struct uuid subject = db_get_uuid(rows, row, 0);
    enum webhook_event event;
    rfc3339_format(uuid_ms(&subject) * 1000000, at);
    buf_puts(out, "{");
    rows_put_id(out, "message_id", rows, row, 2);
    rows_put_text(out, "event", rows, row, 1);
    if (webhook_event_find(db_get_text(rows, row, 1), &event) == 0 &&
        (event == WEBHOOK_EVENT_submission_completed || event == WEBHOOK_EVENT_submission_failed)) {
        buf_puts(out, ",");
        rows_put_id(out, "submission_id", rows, row, 0);
    }
    buf_printf(out, ",\"created_at\":\"%s\"", at);
    rows_put_text(out, "state", rows, row, 4);
    buf_printf(out, ",\"published\":%s", relayed ? "true" : "false");
    rows_put_int(out, "generation", rows, row, 3);
    rows_put_int(out, "attempts", rows, row, 5);
    rows_put_time(out, "last_attempt_at", rows, row, 7);
    rows_put_int(out, "last_status", rows, row, 8);
    rows_put_text(out, "last_error", rows, row, 9);
    rows_put_time(out, "next_attempt_at", rows, row, 6);
    buf_puts(out, "}");
}

static const struct rows_list deliveries = {"deliveries", PAGE_BYTES_MAX, put_delivery,
                                            rows_put_cursor};

void hook_deliveries(struct request *req, const struct uuid *id)
{
    const char *cursor, *state = http_query(req, "state");
    struct uuid before;
    int limit;
    if (rows_page_asked(req, &limit, &cursor, &before) != 0 ||
        (state && find_state(req, state) != 0))
        return;
    struct hook *hook = hook_new(req);
    hook->limit = limit;
    hook->list = &deliveries;
    if (store_hook_deliveries(hook->gw->store, &hook->project, id, cursor ? &before : NULL, state,
                              limit + 1, on_page, hook) != 0)
        hook_away(hook);
}

/* ---- attempts ---- */

static void put_attempt(struct buf *out, const void *owner, const struct db_result *rows,
                        size_t row)
{
    (void)owner;
    buf_puts(out, "{");
    rows_put_id(out, "message_id", rows, row, 0);
    rows_put_int(out, "generation", rows, row, 1);
    rows_put_int(out, "attempt", rows, row, 2);
    rows_put_time(out, "at", rows, row, 3);
    rows_put_text(out, "address", rows, row, 4);
    rows_put_int(out, "port", rows, row, 5);
    rows_put_int(out, "status", rows, row, 6);
    rows_put_text(out, "error", rows, row, 7);
    for (int e = 0; e < ATTEMPT_ERROR_COUNT; e++)
        if (span_is(db_get_text(rows, row, 7), attempt_error_name((enum attempt_error)e))) {
            buf_puts(out, ",\"message\":");
            json_quote(span_text(attempt_error_text((enum attempt_error)e)), out);
        }
    buf_printf(out, ",\"latency_ms\":%.3f", (double)db_get_int(rows, row, 8) / 1e3);
    rows_put_text(out, "outcome", rows, row, 9);
    rows_put_time(out, "next_attempt_at", rows, row, 10);
    buf_puts(out, "}");
}

/* "<microseconds>_<message id>" */
static void put_attempts_cursor(struct buf *out, const struct db_result *rows, size_t row)
{
    struct uuid message = db_get_uuid(rows, row, 0);
    char text[UUID_TEXT];
    uuid_format(&message, text);
    buf_printf(out, "\"next_cursor\":\"%" PRId64 "_%s\"", db_get_time_ns(rows, row, 3) / 1000,
               text);
}

static const struct rows_list attempts = {"attempts", PAGE_BYTES_MAX, put_attempt,
                                          put_attempts_cursor};

static int read_cursor(struct request *req, const char *cursor, struct store_attempts *ask)
{
    const char *split = cursor ? strchr(cursor, '_') : NULL;
    uint64_t us;
    if (!cursor)
        return 0;
    if (!split || span_u64(span_of(cursor, (size_t)(split - cursor)), &us) || us == 0 ||
        us > INT64_MAX / 1000 || uuid_parse(span_text(split + 1), &ask->before)) {
        http_error(req, API_ERROR_invalid_field, "cursor: must be a next_cursor");
        return -1;
    }
    ask->before_ns = (int64_t)us * 1000;
    return 0;
}

void hook_attempts(struct request *req, const struct uuid *id)
{
    const char *cursor, *message = http_query(req, "message_id");
    struct store_attempts ask = {.message = NULL};
    struct uuid wanted;
    int limit;
    if (rows_page_asked(req, &limit, &cursor, NULL) != 0 || read_cursor(req, cursor, &ask) != 0)
        return;
    if (message && uuid_parse(span_text(message), &wanted) != 0) {
        http_error(req, API_ERROR_invalid_field, "message_id: must be a UUID");
        return;
    }
    struct hook *hook = hook_new(req);
    hook->limit = limit;
    hook->list = &attempts;
    ask.limit = limit + 1;
    ask.message = message ? &wanted : NULL;
    if (store_hook_attempts(hook->gw->store, &hook->project, id, &ask, on_page, hook) != 0)
        hook_away(hook);
}

/* ---- again ---- */

enum { R_MESSAGE, R_SINCE, R_UNTIL, R_STATE, R_COUNT };
static const struct field_rule redeliver_rules[R_COUNT] = {
    [R_MESSAGE] = {.name = "message_id", .min_bytes = 36, .max_bytes = 36},
    [R_SINCE] = {.name = "since", .min_bytes = 1, .max_bytes = 40},
    [R_UNTIL] = {.name = "until", .min_bytes = 1, .max_bytes = 40},
    [R_STATE] = {.name = "state", .min_bytes = 1, .max_bytes = 16},
};

static void on_again(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    if (!hook_ok(hook, err))
        return;
    if (db_rows(rows) == 0) {
        hook_refuse(hook, API_ERROR_not_found, HOOK_UNKNOWN ", or it is disabled: enable it first");
        return;
    }
    int64_t count = db_get_int(rows, 0, 0);
    struct buf body = {.max = 256};
    buf_printf(&body, "{\"redelivered\":%" PRId64 ",\"more\":%s}", count,
               count == STORE_REDELIVER_MAX ? "true" : "false");
    hook_done(hook, &body);
}

static int read_time(struct request *req, const char *name, struct span text, struct uuid *out)
{
    int64_t ms;
    if (rfc3339_ms(text, &ms) || ms < 0) {
        http_error(req, API_ERROR_invalid_field, "%s: must be a time like 2026-11-23T20:15:00Z",
                   name);
        return -1;
    }
    *out = uuid_first(ms);
    return 0;
}

void hook_redeliver(struct request *req, const struct uuid *id)
{
    struct gateway *gw = gateway_of(req);
    struct span values[R_COUNT];
    struct uuid message, since, until;
    char field[FIELD_NAME], state[17];
    struct err err;
    arena_reset(&gw->arena);
    if (fields_parse(buf_span(&req->body), redeliver_rules, R_COUNT, &gw->arena, values, field,
                     &err) != 0) {
        http_error(req, field[0] ? API_ERROR_invalid_field : API_ERROR_invalid_json, "%s",
                   err.message);
        return;
    }
    bool one = values[R_MESSAGE].data,
         some = values[R_SINCE].data || values[R_UNTIL].data || values[R_STATE].data;
    struct store_redeliver ask = {.message = one ? &message : NULL,
                                  .since = values[R_SINCE].data ? &since : NULL,
                                  .until = values[R_UNTIL].data ? &until : NULL,
                                  .state = values[R_STATE].data ? state : NULL};
    (void)!span_copy(values[R_STATE], state, sizeof(state));
    if (one == some)
        http_error(req, API_ERROR_invalid_request,
                   "say either message_id, or which: state, since, until");
    else if (one && uuid_parse(values[R_MESSAGE], &message) != 0)
        http_error(req, API_ERROR_invalid_field, "message_id: must be a UUID");
    else if (ask.state && (strcmp(state, "pending") == 0 || find_state(req, state) != 0)) {
        if (!req->answered)
            http_error(req, API_ERROR_invalid_field,
                       "state: what is pending is under way already; say dead, dropped or "
                       "delivered");
    } else if (ask.since && read_time(req, "since", values[R_SINCE], &since) != 0)
        return;
    else if (ask.until && read_time(req, "until", values[R_UNTIL], &until) != 0)
        return;
    if (req->answered)
        return;
    struct hook *hook = hook_new(req);
    if (store_hook_redeliver(gw->store, &hook->project, id, &ask, on_again, hook) != 0)
        hook_away(hook);
}
