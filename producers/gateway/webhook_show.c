/* What is shown of a project's webhook endpoints, one and all. A document is opened here; its
 * secret is never shown, only when it was made and ends, and the public half of a pair. */
#include "lib/base/enc.h"
#include "producers/gateway/webhooks_impl.h"

static void put_ms(struct buf *out, const char *name, int64_t ms)
{
    char text[RFC3339_TEXT];
    rfc3339_format(ms * 1000000, text);
    if (ms > 0)
        buf_printf(out, ",\"%s\":\"%s\"", name, text);
    else
        buf_printf(out, ",\"%s\":null", name);
}

void hook_put_events(struct buf *out, const char *events)
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

void hook_put_doc(struct buf *out, const struct webhook_endpoint *doc, int64_t now_ms)
{
    buf_puts(out, ",\"url\":");
    json_quote(span_text(doc->url), out);
    buf_puts(out, ",\"description\":");
    json_quote(span_text(doc->description), out);
    put_secrets(out, doc, now_ms);
}

int hook_open_row(struct gateway *gw, const struct uuid *project, const struct db_result *rows,
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

static void put_row(struct buf *out, const void *owner, const struct db_result *rows, size_t row)
{
    const struct hook *hook = owner;
    struct webhook_endpoint doc;
    char events[HOOK_EVENTS_MAX];
    buf_puts(out, "{");
    rows_put_id(out, "id", rows, row, 0);
    if (hook_open_row(hook->gw, &hook->project, rows, row, &doc) == 0)
        hook_put_doc(out, &doc, hook->at_ns / 1000000);
    else
        buf_puts(out, ",\"unreadable\":true");
    webhook_endpoint_wipe(&doc);
    if (span_copy(db_get_text(rows, row, 1), events, sizeof(events)) == 0)
        hook_put_events(out, events);
    bool disabled = !db_is_null(rows, row, 5);
    buf_printf(out, ",\"state\":\"%s\"", disabled ? "disabled" : "active");
    if (disabled) {
        rows_put_time(out, "disabled_at", rows, row, 5);
        rows_put_text(out, "disabled_reason", rows, row, 6);
    }
    rows_put_time(out, "created_at", rows, row, 3);
    rows_put_time(out, "updated_at", rows, row, 4);
    buf_puts(out, "}");
}

static void on_list(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct hook *hook = opaque;
    if (!hook_ok(hook, err))
        return;
    static const struct rows_list list = {"webhooks", 4 * 1024 * 1024, put_row, rows_put_cursor};
    hook_list(hook, &list, rows, db_rows(rows));
}

void hooks_list(struct request *req)
{
    struct uuid before;
    const char *cursor;
    int limit;
    if (rows_page_asked(req, &limit, &cursor, &before) != 0)
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
        hook_refuse(hook, API_ERROR_not_found, HOOK_UNKNOWN);
        return;
    }
    struct buf body = {.max = 64 * 1024};
    put_row(&body, hook, rows, 0);
    hook_done(hook, &body);
}

void hook_show(struct request *req, const struct uuid *id)
{
    struct hook *hook = hook_new(req);
    if (store_hook(hook->gw->store, &hook->project, id, on_shown, hook) != 0)
        hook_away(hook);
}
