/* A project's webhook endpoints: create, change, rotate, test, disable, enable, delete; what shows
 * them is webhook_show.c. A document is sealed again before it leaves; a secret is told in the
 * answer that made it and never again. A change is one row, guarded by its version; relay publishes
 * it. */
#include "lib/base/enc.h"
#include "producers/gateway/webhooks_impl.h"
#include <stdio.h>

#define EVENTS_DEFAULT "submission.completed,submission.failed"

/* ---- fields ---- */

enum { F_URL, F_EVENTS, F_DESCRIPTION, F_ALGORITHM, F_SECRET, F_COUNT };
static const struct field_rule create_rules[F_COUNT] = {
    [F_URL] = {.name = "url", .required = true, .min_bytes = 1, .max_bytes = WEBHOOK_URL_MAX},
    [F_EVENTS] = {.name = "events", .list = true, .min_bytes = 1, .max_bytes = 40},
    [F_DESCRIPTION] = {.name = "description", .max_bytes = WEBHOOK_DESCRIPTION_MAX},
    [F_ALGORITHM] = {.name = "algorithm", .min_bytes = 1, .max_bytes = 8},
    [F_SECRET] = {.name = "secret", .min_bytes = 1, .max_bytes = 256},
};
static const struct field_rule change_rules[F_COUNT] = {
    [F_URL] = {.name = "url", .min_bytes = 1, .max_bytes = WEBHOOK_URL_MAX},
    [F_EVENTS] = {.name = "events", .list = true, .min_bytes = 1, .max_bytes = 40},
    [F_DESCRIPTION] = {.name = "description", .max_bytes = WEBHOOK_DESCRIPTION_MAX},
    [F_ALGORITHM] = {.name = "algorithm", .refused = "is changed by POST .../rotate"},
    [F_SECRET] = {.name = "secret", .refused = "is changed by POST .../rotate"},
};
static const struct field_rule rotate_rules[F_COUNT] = {
    [F_URL] = {.name = "url", .refused = "is changed by PATCH"},
    [F_EVENTS] = {.name = "events", .refused = "is changed by PATCH"},
    [F_DESCRIPTION] = {.name = "description", .refused = "is changed by PATCH"},
    [F_ALGORITHM] = {.name = "algorithm", .min_bytes = 1, .max_bytes = 8},
    [F_SECRET] = {.name = "secret", .min_bytes = 1, .max_bytes = 256},
};

static int check_events(struct request *req, struct span events)
{
    const char *begin = events.data;
    for (const char *at = begin; at && *at;) {
        size_t len = strcspn(at, ",");
        enum webhook_event event;
        if (webhook_event_find(span_of(at, len), &event) || !webhook_event_subscribable(event)) {
            http_error(req, API_ERROR_invalid_field,
                       "events: must be of submission.completed, submission.failed, "
                       "batch.completed, endpoint.disabled");
            return -1;
        }
        for (const char *other = begin; other < at; other += strcspn(other, ",") + 1)
            if (strncmp(other, at, len) == 0 && other[len] == ',') {
                http_error(req, API_ERROR_invalid_field, "events: names one twice");
                return -1;
            }
        at += len + (at[len] == ',');
    }
    return 0;
}

/* What was asked for, checked; -1 after http_error. */
static int read_fields(struct request *req, const struct field_rule *rules,
                       struct span values[F_COUNT])
{
    struct gateway *gw = gateway_of(req);
    char field[FIELD_NAME];
    struct err err = {.code = ERR_NONE};
    const char *why;
    memset(values, 0, F_COUNT * sizeof(*values));
    arena_reset(&gw->arena);
    if (req->body.len == 0 && rules == rotate_rules)
        return 0;
    if (fields_parse(buf_span(&req->body), rules, F_COUNT, &gw->arena, values, field, &err) != 0)
        http_error(req, field[0] ? API_ERROR_invalid_field : API_ERROR_invalid_json, "%s",
                   err.message);
    else if (values[F_URL].data && webhook_url_check(&gw->urls, values[F_URL], &err) != 0)
        http_error(req, API_ERROR_invalid_field, "url: %s", err.message);
    else if (values[F_ALGORITHM].data && !span_is(values[F_ALGORITHM], "v1") &&
             !span_is(values[F_ALGORITHM], "v1a"))
        http_error(req, API_ERROR_invalid_field, "algorithm: must be v1 or v1a");
    else if (values[F_SECRET].data && span_is(values[F_ALGORITHM], "v1a"))
        http_error(req, API_ERROR_invalid_field, "secret: a key of v1a is made here, never given");
    else if (values[F_SECRET].data && (why = webhook_secret_refuse(values[F_SECRET], false)))
        http_error(req, API_ERROR_invalid_field, "secret: %s", why);
    else if (values[F_EVENTS].data)
        (void)!check_events(req, values[F_EVENTS]);
    return req->answered ? -1 : 0;
}

static void new_secret(struct hook *hook, const struct span values[F_COUNT],
                       struct webhook_secret *out)
{
    int64_t now_ms = hook->at_ns / 1000000;
    bool asymmetric = span_is(values[F_ALGORITHM], "v1a");
    webhook_secret_make(asymmetric ? WEBHOOK_V1A : WEBHOOK_V1, &hook->gw->rnd, now_ms, out);
    if (values[F_SECRET].data)
        (void)!span_copy(values[F_SECRET], out->text, sizeof(out->text));
}

/* ---- create ---- */

/* Of what was just written; with the new secret, this once. A v1a endpoint shows its public key
 * alone: nobody outside needs the other half. */
static void tell_written(struct hook *hook)
{
    struct buf body = {.max = 64 * 1024};
    char id[UUID_TEXT];
    uuid_format(&hook->id, id);
    buf_printf(&body, "{\"id\":\"%s\"", id);
    hook_put_doc(&body, &hook->doc, hook->at_ns / 1000000);
    hook_put_events(&body, hook->events);
    if (hook->shows_secret && webhook_secret_algorithm(&hook->doc.secrets[0]) == WEBHOOK_V1) {
        buf_puts(&body, ",\"secret\":");
        json_quote(span_text(hook->doc.secrets[0].text), &body);
    }
    buf_puts(&body, "}");
    hook_done(hook, &body);
}

static void on_created(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    if (!hook_ok(hook, err))
        return;
    if (db_affected(rows) == 0)
        hook_refuse(hook, API_ERROR_conflict,
                    "the project has 100 webhook endpoints, the most there may be");
    else
        tell_written(hook);
}

static int seal(struct hook *hook, struct buf *sealed)
{
    struct err err;
    if (webhook_endpoint_seal(hook->gw->webhooks.bytes, &hook->gw->rnd, &hook->project, &hook->id,
                              &hook->doc, sealed, &err) == 0)
        return 0;
    log_event(LOG_ERROR, "seal_failed", kv_err(&err));
    hook_refuse(hook, API_ERROR_internal, api_error_message(API_ERROR_internal));
    return -1;
}

static void create_hook(struct request *req)
{
    struct span values[F_COUNT];
    BUF_AUTO struct buf sealed = {.max = WEBHOOK_SEALED_MAX};
    if (read_fields(req, create_rules, values) != 0)
        return;
    struct hook *hook = hook_new(req);
    hook->id = uuid_v7(&hook->gw->clock, &hook->gw->rnd);
    (void)!span_copy(values[F_URL], hook->doc.url, sizeof(hook->doc.url));
    (void)!span_copy(values[F_DESCRIPTION], hook->doc.description, sizeof(hook->doc.description));
    (void)!span_copy(values[F_EVENTS].data ? values[F_EVENTS] : SPAN_LIT(EVENTS_DEFAULT),
                     hook->events, sizeof(hook->events));
    hook->doc.secret_count = 1;
    hook->shows_secret = true;
    new_secret(hook, values, &hook->doc.secrets[0]);
    if (seal(hook, &sealed) == 0 &&
        store_hook_create(hook->gw->store, &hook->project, &hook->id, hook->events,
                          buf_span(&sealed), hook->at_ns, on_created, hook) != 0)
        hook_away(hook);
}

void webhooks_handle(struct request *req)
{
    if (req->method == METHOD_POST)
        create_hook(req);
    else
        hooks_list(req);
}

/* ---- change: read, alter, write if nobody else did meanwhile ---- */

static void on_changed(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    if (!hook_ok(hook, err))
        return;
    if (db_affected(rows) == 0)
        hook_refuse(hook, API_ERROR_conflict,
                    "the endpoint was changed or deleted meanwhile: read it and send this again");
    else
        tell_written(hook);
}

static void on_read(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    BUF_AUTO struct buf sealed = {.max = WEBHOOK_SEALED_MAX};
    struct webhook_endpoint wanted __attribute__((cleanup(webhook_endpoint_wipe))) = hook->doc;
    struct err why;
    if (!hook_ok(hook, err))
        return;
    if (db_rows(rows) == 0) {
        hook_refuse(hook, API_ERROR_not_found, HOOK_UNKNOWN);
        return;
    }
    if (hook_open_row(hook->gw, &hook->project, rows, 0, &hook->doc) != 0) {
        hook_refuse(hook, API_ERROR_internal,
                    "the endpoint cannot be read: delete it and create it anew");
        return;
    }
    if (hook->shows_secret &&
        webhook_rotate(&hook->doc, &wanted.secrets[0], hook->at_ns / 1000000, &why) != 0) {
        hook_refuse(hook, API_ERROR_conflict, why.message);
        return;
    }
    if (wanted.url[0])
        memcpy(hook->doc.url, wanted.url, sizeof(wanted.url));
    if (hook->has_description)
        memcpy(hook->doc.description, wanted.description, sizeof(wanted.description));
    if (!hook->events[0])
        (void)!span_copy(db_get_text(rows, 0, 1), hook->events, sizeof(hook->events));
    if (seal(hook, &sealed) == 0 &&
        store_hook_change(hook->gw->store, &hook->project, &hook->id, db_get_int(rows, 0, 7),
                          hook->events, buf_span(&sealed), hook->at_ns, on_changed, hook) != 0)
        hook_away(hook);
}

static void change_hook(struct request *req, const struct uuid *id, const struct field_rule *rules)
{
    struct span values[F_COUNT];
    if (read_fields(req, rules, values) != 0)
        return;
    struct hook *hook = hook_new(req);
    hook->id = *id;
    hook->has_description = values[F_DESCRIPTION].data;
    (void)!span_copy(values[F_URL], hook->doc.url, sizeof(hook->doc.url));
    (void)!span_copy(values[F_DESCRIPTION], hook->doc.description, sizeof(hook->doc.description));
    (void)!span_copy(values[F_EVENTS], hook->events, sizeof(hook->events));
    hook->shows_secret = rules == rotate_rules;
    if (hook->shows_secret)
        new_secret(hook, values, &hook->doc.secrets[0]);
    if (store_hook(hook->gw->store, &hook->project, id, on_read, hook) != 0)
        hook_away(hook);
}

/* ---- state and tests ---- */

static void on_state(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    char id[UUID_TEXT];
    if (!hook_ok(hook, err))
        return;
    if (db_affected(rows) == 0) {
        hook_refuse(hook, API_ERROR_not_found, HOOK_UNKNOWN);
        return;
    }
    struct buf body = {.max = 256};
    uuid_format(&hook->id, id);
    buf_printf(&body, "{\"id\":\"%s\",\"state\":\"%s\"}", id, hook->events);
    hook_done(hook, &body);
}

static void set_state(struct request *req, const struct uuid *id, enum hook_state state)
{
    static const char *const names[] = {
        [HOOK_ENABLE] = "active", [HOOK_DISABLE] = "disabled", [HOOK_DELETE] = "deleted"};
    struct hook *hook = hook_new(req);
    hook->id = *id;
    snprintf(hook->events, sizeof(hook->events), "%s", names[state]);
    if (store_hook_state(hook->gw->store, &hook->project, id, state, hook->at_ns, on_state, hook) !=
        0)
        hook_away(hook);
}

static void on_test(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    char id[UUID_TEXT];
    if (!hook_ok(hook, err))
        return;
    if (db_affected(rows) == 0) {
        hook_refuse(hook, API_ERROR_not_found, HOOK_UNKNOWN ", or it is disabled");
        return;
    }
    struct buf body = {.max = 256};
    uuid_format(&hook->id, id);
    buf_printf(&body, "{\"message_id\":\"%s\",\"event\":\"webhook.test\"}", id);
    hook_done(hook, &body);
}

static void test_hook(struct request *req, const struct uuid *id)
{
    struct hook *hook = hook_new(req);
    struct uuid subject = uuid_v7(&hook->gw->clock, &hook->gw->rnd);
    char data[160], text[UUID_TEXT];
    uuid_format(id, text);
    snprintf(data, sizeof(data),
             "{\"endpoint_id\":\"%s\",\"message\":\"a test delivery that was asked for\"}", text);
    hook->id =
        webhook_message_id(hook->gw->webhooks.bytes, &subject, WEBHOOK_EVENT_webhook_test, id);
    if (store_hook_test(hook->gw->store, &hook->project, id, &subject, data, on_test, hook) != 0)
        hook_away(hook);
}

/* ---- /api/webhooks/{id}[/verb] ---- */

static void update_hook(struct request *req, const struct uuid *id)
{
    change_hook(req, id, change_rules);
}

static void rotate_hook(struct request *req, const struct uuid *id)
{
    change_hook(req, id, rotate_rules);
}

static void delete_hook(struct request *req, const struct uuid *id)
{
    set_state(req, id, HOOK_DELETE);
}

static void enable_hook(struct request *req, const struct uuid *id)
{
    set_state(req, id, HOOK_ENABLE);
}

static void disable_hook(struct request *req, const struct uuid *id)
{
    set_state(req, id, HOOK_DISABLE);
}

static const struct verb {
    const char *name;
    enum method method;
    void (*handle)(struct request *req, const struct uuid *id);
} verbs[] = {
    {"", METHOD_GET, hook_show},
    {"", METHOD_PATCH, update_hook},
    {"", METHOD_DELETE, delete_hook},
    {"/rotate", METHOD_POST, rotate_hook},
    {"/test", METHOD_POST, test_hook},
    {"/enable", METHOD_POST, enable_hook},
    {"/disable", METHOD_POST, disable_hook},
    {"/deliveries", METHOD_GET, hook_deliveries},
    {"/attempts", METHOD_GET, hook_attempts},
    {"/redeliver", METHOD_POST, hook_redeliver},
};

void webhook_handle(struct request *req)
{
    size_t len = strlen(req->tail) < UUID_TEXT - 1 ? strlen(req->tail) : UUID_TEXT - 1;
    const char *verb = req->tail + len;
    struct uuid id;
    unsigned methods = 0;
    if (uuid_parse(span_of(req->tail, len), &id) != 0) {
        http_error(req, API_ERROR_invalid_request, "the id in the path is not a UUID");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].name, verb) != 0)
            continue;
        methods |= verbs[i].method;
        if (verbs[i].method == req->method) {
            verbs[i].handle(req, &id);
            return;
        }
    }
    if (!methods) {
        http_error(req, API_ERROR_not_found, "no such path");
        return;
    }
    http_header(req, "Allow", "%s",
                methods == METHOD_POST  ? "POST"
                : methods == METHOD_GET ? "GET, HEAD"
                                        : "GET, HEAD, PATCH, DELETE");
    http_error(req, API_ERROR_method_not_allowed, NULL);
}
