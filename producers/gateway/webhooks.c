/* A project's webhook endpoints: create, list, show, change, rotate, test, disable, enable, delete.
 * A document is opened here to be shown or changed, and sealed again before it leaves; a secret is
 * told in the answer that made it and never again. A change is one row, guarded by its version;
 * relay publishes it. */
#include "lib/base/enc.h"
#include "producers/gateway/webhooks_impl.h"
#include <stdio.h>

#define NO_ENDPOINT "no webhook endpoint of this project has that id"
#define EVENTS_DEFAULT "submission.completed,submission.failed"

/* ---- the frame ---- */

static void on_gone(struct request *req)
{
    ((struct hook *)req->task)->req = NULL;
}

struct hook *hook_new(struct request *req)
{
    struct hook *hook = calloc(1, sizeof(*hook));
    CHECK(hook);
    hook->req = req;
    hook->gw = gateway_of(req);
    hook->project = req->project->id;
    hook->at_ns = gateway_wall_ns(hook->gw);
    req->task = hook;
    req->gone = on_gone;
    return hook;
}

void hook_free(struct hook *hook)
{
    wipe(hook, sizeof(*hook));
    free(hook);
}

void hook_away(struct hook *hook)
{
    hook_refuse(hook, API_ERROR_unavailable, "the database is away; send it again");
}

void hook_refuse(struct hook *hook, enum api_error error, const char *message)
{
    if (hook->req)
        http_error(hook->req, error, "%s", message);
    hook_free(hook);
}

bool hook_ok(struct hook *hook, const struct err *err)
{
    if (err->code) {
        log_event(LOG_WARN, "query_failed", kv_err(err));
        hook_away(hook);
        return false;
    }
    if (!hook->req)
        hook_free(hook);
    else
        return true;
    return false;
}

void hook_done(struct hook *hook, struct buf *body)
{
    if (body->failed) {
        buf_done(body);
        http_error(hook->req, API_ERROR_internal, "the answer is too large");
    } else {
        http_answer(hook->req, 200, body);
    }
    hook_free(hook);
}

int hook_page(struct request *req, int *limit, const char **cursor, struct uuid *before)
{
    const char *text = http_query(req, "limit");
    uint64_t count = HOOK_PAGE;
    *cursor = http_query(req, "cursor");
    if (text && (span_u64(span_text(text), &count) != 0 || count < 1 || count > HOOK_PAGE_MAX))
        http_error(req, API_ERROR_invalid_field, "limit: must be 1 to %d", HOOK_PAGE_MAX);
    else if (before && *cursor && uuid_parse(span_text(*cursor), before) != 0)
        http_error(req, API_ERROR_invalid_field, "cursor: must be a next_cursor");
    *limit = (int)count;
    return req->answered ? -1 : 0;
}

void hook_put_time(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                   int column)
{
    char text[RFC3339_TEXT];
    if (db_is_null(rows, row, column)) {
        buf_printf(out, ",\"%s\":null", name);
        return;
    }
    rfc3339_format(db_get_time_ns(rows, row, column), text);
    buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

void hook_put_text(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                   int column)
{
    buf_printf(out, ",\"%s\":", name);
    if (db_is_null(rows, row, column))
        buf_puts(out, "null");
    else
        json_quote(db_get_text(rows, row, column), out);
}

void hook_put_id(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                 int column)
{
    char text[UUID_TEXT];
    if (db_is_null(rows, row, column)) {
        buf_printf(out, "\"%s\":null", name);
        return;
    }
    struct uuid id = db_get_uuid(rows, row, column);
    uuid_format(&id, text);
    buf_printf(out, "\"%s\":\"%s\"", name, text);
}

/* ---- what is shown of an endpoint ---- */

static void put_ms(struct buf *out, const char *name, int64_t ms)
{
    char text[RFC3339_TEXT];
    rfc3339_format(ms * 1000000, text);
    if (ms > 0)
        buf_printf(out, ",\"%s\":\"%s\"", name, text);
    else
        buf_printf(out, ",\"%s\":null", name);
}

static void put_events(struct buf *out, const char *events)
{
    buf_puts(out, ",\"events\":[");
    for (const char *at = events; *at;) {
        size_t len = strcspn(at, ",");
        buf_printf(out, "%s\"%.*s\"", at == events ? "" : ",", (int)len, at);
        at += len + (at[len] == ',');
    }
    buf_puts(out, "]");
}

static bool in_force(const struct webhook_secret *secret, int64_t now_ms)
{
    return secret->expires_ms == 0 || secret->expires_ms > now_ms;
}

/* When each secret was made and ends, and the public half of an asymmetric one; never the secret.
 */
static void put_secrets(struct buf *out, const struct webhook_endpoint *doc, int64_t now_ms)
{
    bool asymmetric = webhook_secret_algorithm(&doc->secrets[0]) == WEBHOOK_V1A;
    const char *comma = "";
    buf_printf(out, ",\"algorithm\":\"%s\",\"secrets\":[", asymmetric ? "v1a" : "v1");
    for (size_t i = 0; i < doc->secret_count; i++) {
        const struct webhook_secret *secret = &doc->secrets[i];
        char public[WEBHOOK_PUBLIC_TEXT];
        if (!in_force(secret, now_ms))
            continue;
        webhook_public_key(secret, public);
        buf_printf(out, "%s{\"algorithm\":\"%s\"", comma, public[0] ? "v1a" : "v1");
        put_ms(out, "created_at", secret->created_ms);
        put_ms(out, "expires_at", secret->expires_ms);
        if (public[0])
            buf_printf(out, ",\"public_key\":\"%s\"", public);
        buf_puts(out, "}");
        comma = ",";
    }
    buf_puts(out, "]");
}

static void put_doc(struct buf *out, const struct webhook_endpoint *doc, int64_t now_ms)
{
    buf_puts(out, ",\"url\":");
    json_quote(span_text(doc->url), out);
    buf_puts(out, ",\"description\":");
    json_quote(span_text(doc->description), out);
    put_secrets(out, doc, now_ms);
}

static int open_row(struct gateway *gw, const struct uuid *project, const struct db_result *rows,
                    size_t row, struct webhook_endpoint *doc)
{
    struct uuid id = db_get_uuid(rows, row, 0);
    struct err err;
    if (webhook_endpoint_open(gw->webhooks.bytes, project, &id, db_get_bytes(rows, row, 2), doc,
                              &err) == 0)
        return 0;
    log_event(LOG_ERROR, "endpoint_unreadable", kv_uuid("endpoint", &id), kv_err(&err));
    metric_add(METRIC_endpoints_unreadable_total, "gateway", 1);
    return -1;
}

static void put_row(struct buf *out, struct hook *hook, const struct db_result *rows, size_t row)
{
    struct webhook_endpoint doc;
    char events[HOOK_EVENTS_MAX];
    buf_puts(out, "{");
    hook_put_id(out, "id", rows, row, 0);
    if (open_row(hook->gw, &hook->project, rows, row, &doc) == 0)
        put_doc(out, &doc, hook->at_ns / 1000000);
    else
        buf_puts(out, ",\"unreadable\":true");
    webhook_endpoint_wipe(&doc);
    if (span_copy(db_get_text(rows, row, 1), events, sizeof(events)) == 0)
        put_events(out, events);
    bool disabled = !db_is_null(rows, row, 5);
    buf_printf(out, ",\"state\":\"%s\"", disabled ? "disabled" : "active");
    if (disabled) {
        hook_put_time(out, "disabled_at", rows, row, 5);
        hook_put_text(out, "disabled_reason", rows, row, 6);
    }
    hook_put_time(out, "created_at", rows, row, 3);
    hook_put_time(out, "updated_at", rows, row, 4);
    buf_puts(out, "}");
}

static void on_list(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    if (!hook_ok(hook, err))
        return;
    struct buf body = {.max = 4 * 1024 * 1024};
    size_t count = db_rows(rows);
    size_t shown = count > (size_t)hook->limit ? (size_t)hook->limit : count;
    buf_puts(&body, "{\"webhooks\":[");
    for (size_t i = 0; i < shown; i++) {
        buf_puts(&body, i ? "," : "");
        put_row(&body, hook, rows, i);
    }
    buf_puts(&body, "],");
    if (count > shown)
        hook_put_id(&body, "next_cursor", rows, shown - 1, 0);
    else
        buf_puts(&body, "\"next_cursor\":null");
    buf_puts(&body, "}");
    hook_done(hook, &body);
}

static void list_hooks(struct request *req)
{
    struct uuid before;
    const char *cursor;
    int limit;
    if (hook_page(req, &limit, &cursor, &before) != 0)
        return;
    struct hook *hook = hook_new(req);
    hook->limit = limit;
    if (store_hooks(hook->gw->store, &hook->project, cursor ? &before : NULL, limit + 1, on_list,
                    hook) != 0)
        hook_away(hook);
}

static void on_shown(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    if (!hook_ok(hook, err))
        return;
    if (db_rows(rows) == 0) {
        hook_refuse(hook, API_ERROR_not_found, NO_ENDPOINT);
        return;
    }
    struct buf body = {.max = 64 * 1024};
    put_row(&body, hook, rows, 0);
    hook_done(hook, &body);
}

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
    put_doc(&body, &hook->doc, hook->at_ns / 1000000);
    put_events(&body, hook->events);
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
        list_hooks(req);
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
    struct webhook_endpoint wanted = hook->doc;
    struct webhook_secret fresh = wanted.secrets[0];
    struct err why;
    if (!hook_ok(hook, err))
        return;
    if (db_rows(rows) == 0) {
        hook_refuse(hook, API_ERROR_not_found, NO_ENDPOINT);
        return;
    }
    if (open_row(hook->gw, &hook->project, rows, 0, &hook->doc) != 0) {
        hook_refuse(hook, API_ERROR_internal,
                    "the endpoint cannot be read: delete it and create it anew");
        return;
    }
    if (hook->shows_secret &&
        webhook_rotate(&hook->doc, &fresh, hook->at_ns / 1000000, &why) != 0) {
        hook_refuse(hook, API_ERROR_conflict, why.message);
        return;
    }
    if (wanted.url[0])
        memcpy(hook->doc.url, wanted.url, sizeof(wanted.url));
    if (hook->has_description)
        memcpy(hook->doc.description, wanted.description, sizeof(wanted.description));
    if (!hook->events[0])
        (void)!span_copy(db_get_text(rows, 0, 1), hook->events, sizeof(hook->events));
    webhook_endpoint_wipe(&wanted);
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
        hook_refuse(hook, API_ERROR_not_found, NO_ENDPOINT);
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
        hook_refuse(hook, API_ERROR_not_found, NO_ENDPOINT ", or it is disabled");
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

static void show_hook(struct request *req, const struct uuid *id)
{
    struct hook *hook = hook_new(req);
    if (store_hook(hook->gw->store, &hook->project, id, on_shown, hook) != 0)
        hook_away(hook);
}

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
    {"", METHOD_GET, show_hook},
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
