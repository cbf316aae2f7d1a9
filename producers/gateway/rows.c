/* Answers made of rows of the database: members from columns, and pages of a list. */
#include "producers/gateway/rows.h"
#include "lib/base/enc.h"

int rows_page_asked(struct request *req, int *limit, const char **cursor, struct uuid *before)
{
    const char *text = http_query(req, "limit");
    uint64_t count = ROWS_PAGE;
    *cursor = http_query(req, "cursor");
    if (text && (span_u64(span_text(text), &count) != 0 || count < 1 || count > ROWS_PAGE_MAX))
        http_error(req, API_ERROR_invalid_field, "limit: must be 1 to %d", ROWS_PAGE_MAX);
    else if (before && *cursor && uuid_parse(span_text(*cursor), before) != 0)
        http_error(req, API_ERROR_invalid_field, "cursor: must be a next_cursor");
    *limit = (int)count;
    return req->answered ? -1 : 0;
}

void rows_put_time(struct buf *out, const char *name, const struct db_result *rows, size_t row,
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

void rows_put_text(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                   int column)
{
    buf_printf(out, ",\"%s\":", name);
    if (db_is_null(rows, row, column))
        buf_puts(out, "null");
    else
        json_quote(db_get_text(rows, row, column), out);
}

void rows_put_known(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                    int column)
{
    if (!db_is_null(rows, row, column))
        rows_put_text(out, name, rows, row, column);
}

void rows_put_id(struct buf *out, const char *name, const struct db_result *rows, size_t row,
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

void rows_put_int(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                  int column)
{
    if (db_is_null(rows, row, column))
        buf_printf(out, ",\"%s\":null", name);
    else
        buf_printf(out, ",\"%s\":%" PRId64, name, db_get_int(rows, row, column));
}

void rows_put_cursor(struct buf *out, const struct db_result *rows, size_t row)
{
    rows_put_id(out, "next_cursor", rows, row, 0);
}

struct buf rows_page(const struct rows_list *list, const void *owner, int limit,
                     const struct db_result *rows, size_t count)
{
    struct buf body = {.max = list->bytes_max};
    size_t shown = count > (size_t)limit ? (size_t)limit : count;
    buf_printf(&body, "{\"%s\":[", list->name);
    for (size_t i = 0; i < shown; i++) {
        buf_puts(&body, i ? "," : "");
        list->put(&body, owner, rows, i);
    }
    buf_puts(&body, "],");
    if (count > shown)
        list->put_cursor(&body, rows, shown - 1);
    else
        buf_puts(&body, "\"next_cursor\":null");
    buf_puts(&body, "}");
    return body;
}
