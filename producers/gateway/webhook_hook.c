/* One question of a webhook request to the database: its life, its answer, and what every answer is
 * made of: members from columns, and pages of a list. */
#include "lib/base/enc.h"
#include "producers/gateway/webhooks_impl.h"

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
    if (hook->req)
        return true;
    hook_free(hook);
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

void hook_put_int(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                  int column)
{
    if (db_is_null(rows, row, column))
        buf_printf(out, ",\"%s\":null", name);
    else
        buf_printf(out, ",\"%s\":%" PRId64, name, db_get_int(rows, row, column));
}

void hook_put_cursor(struct buf *out, const struct db_result *rows, size_t row)
{
    hook_put_id(out, "next_cursor", rows, row, 0);
}

/* One row more than the page has was asked for: it says that there is a next one. */
void hook_list(struct hook *hook, const struct hook_list *list, const struct db_result *rows,
               size_t count)
{
    struct buf body = {.max = list->bytes_max};
    size_t shown = count > (size_t)hook->limit ? (size_t)hook->limit : count;
    buf_printf(&body, "{\"%s\":[", list->name);
    for (size_t i = 0; i < shown; i++) {
        buf_puts(&body, i ? "," : "");
        list->put(&body, hook, rows, i);
    }
    buf_puts(&body, "],");
    if (count > shown)
        list->put_cursor(&body, rows, shown - 1);
    else
        buf_puts(&body, "\"next_cursor\":null");
    buf_puts(&body, "}");
    hook_done(hook, &body);
}
