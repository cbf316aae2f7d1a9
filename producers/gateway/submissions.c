/* GET /api/submissions: a page of a project's submissions, newest first. It is gathered in walks of
 * a bounded number of rows over a few days (store_list), of the days that the project has any of. A
 * page ends when it is full, when there is nothing older, or after WALKS_MAX, then with a cursor
 * and fewer rows than were asked for. */
#include "producers/gateway/rows.h"

#define WALKS_MAX 8
#define WINDOW_DAYS 4 /* of one walk */
#define PAGE_BYTES_MAX (1024 * 1024)

struct listing {
    struct request *req; /* NULL: gone */
    struct gateway *gw;
    struct project *project;
    struct uuid before, label;
    bool labelled;
    const char *verdict, *language; /* NULL: any */
    int32_t days[STORE_DAYS];       /* descending */
    size_t day_count, day;          /* all below `day` are walked */
    int32_t first_day, last_day;    /* of the walk */
    int limit, shown, walks;
    struct buf body;
};

static void on_gone(struct request *req)
{
    ((struct listing *)req->task)->req = NULL;
}

static void listing_free(struct listing *list)
{
    buf_done(&list->body);
    free(list);
}

static void away(struct listing *list)
{
    if (list->req)
        http_error(list->req, API_ERROR_unavailable, "the database is away; send it again");
    listing_free(list);
}

/* False: all is done. */
static bool good(struct listing *list, const struct err *err)
{
    if (err->code && list->req)
        log_event(LOG_WARN, "query_failed", kv_err(err));
    if (err->code || !list->req) {
        away(list);
        return false;
    }
    return true;
}

static void put_measured(struct buf *out, const struct db_result *rows, size_t row)
{
    if (!db_is_null(rows, row, 7))
        buf_printf(out, ",\"cpu_time_secs\":%.6f", (double)db_get_int(rows, row, 7) / 1e9);
    if (!db_is_null(rows, row, 8))
        buf_printf(out, ",\"wall_time_secs\":%.6f", (double)db_get_int(rows, row, 8) / 1e9);
    if (!db_is_null(rows, row, 9))
        buf_printf(out, ",\"memory_peak_bytes\":%lld", (long long)db_get_int(rows, row, 9));
    if (!db_is_null(rows, row, 10))
        buf_printf(out, ",\"exit_code\":%lld", (long long)db_get_int(rows, row, 10));
    if (!db_is_null(rows, row, 11))
        buf_printf(out, ",\"signal\":%lld", (long long)db_get_int(rows, row, 11));
}

static void put_submission(struct buf *out, const struct db_result *rows, size_t row)
{
    enum verdict verdict;
    buf_puts(out, "{");
    rows_put_id(out, "id", rows, row, 0);
    rows_put_known(out, "language", rows, row, 1);
    rows_put_known(out, "profile", rows, row, 2);
    if (verdict_find(db_get_text(rows, row, 4), &verdict) == 0) {
        buf_printf(out, ",\"job_status\":\"%s\"", verdict_job_status(verdict));
        rows_put_known(out, "verdict", rows, row, 4);
        rows_put_known(out, "verdict_cause", rows, row, 5);
        put_measured(out, rows, row);
    } else {
        buf_puts(out, ",\"job_status\":\"pending\"");
    }
    rows_put_time(out, "created_at", rows, row, 3);
    rows_put_time(out, "completed_at", rows, row, 6);
    buf_puts(out, "}");
}

static void answer(struct listing *list, bool more)
{
    char text[UUID_TEXT];
    uuid_format(&list->before, text);
    if (more)
        buf_printf(&list->body, "],\"next_cursor\":\"%s\"}", text);
    else
        buf_puts(&list->body, "],\"next_cursor\":null}");
    if (list->body.failed) {
        http_error(list->req, API_ERROR_internal, "the answer is too large");
    } else {
        http_answer(list->req, 200, &list->body);
        list->body = (struct buf){0};
    }
    listing_free(list);
}

static void on_rows(void *opaque, const struct db_result *rows, const struct err *err);
static void on_days(void *opaque, const struct db_result *rows, const struct err *err);

/* What is older than `before` in the window. */
static void walk(struct listing *list)
{
    if (list->walks++ == WALKS_MAX) {
        answer(list, true);
        return;
    }
    const struct store_filter filter = {.before = &list->before,
                                        .first_day = list->first_day,
                                        .last_day = list->last_day,
                                        .verdict = list->verdict,
                                        .language = list->language,
                                        .label = list->labelled ? &list->label : NULL};
    if (store_list(list->gw->store, &list->project->id, &filter, list->limit + 1 - list->shown,
                   on_rows, list) != 0)
        away(list);
}

static void ask_days(struct listing *list, int32_t last_day)
{
    if (store_days(list->gw->store, &list->project->id, last_day, on_days, list) != 0)
        away(list);
}

/* On to the next days that the project has submissions of. */
static void next_window(struct listing *list)
{
    if (list->day == list->day_count) {
        if (list->day_count < STORE_DAYS)
            answer(list, false);
        else
            ask_days(list, list->first_day - 1);
        return;
    }
    list->last_day = list->days[list->day];
    while (list->day < list->day_count && list->days[list->day] > list->last_day - WINDOW_DAYS)
        list->first_day = list->days[list->day++];
    walk(list);
}

static void on_days(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct listing *list = opaque;
    if (!good(list, err))
        return;
    list->day = 0;
    list->day_count = db_rows(rows);
    for (size_t i = 0; i < list->day_count; i++)
        list->days[i] = db_get_day(rows, i, 0);
    next_window(list);
}

static void on_rows(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct listing *list = opaque;
    if (!good(list, err))
        return;
    for (size_t i = 0; i < db_rows(rows); i++) {
        bool fits = db_get_bool(rows, i, 12), ended = db_get_bool(rows, i, 13);
        if (fits && list->shown == list->limit) {
            answer(list, true);
            return;
        }
        if (fits) {
            buf_puts(&list->body, list->shown++ ? "," : "");
            put_submission(&list->body, rows, i);
        }
        list->before = db_get_uuid(rows, i, 0);
        if (ended) {
            list->last_day = uuid_day(&list->before);
            walk(list);
            return;
        }
    }
    list->before = uuid_first(list->first_day * DAY_MS);
    next_window(list);
}

void submissions_handle(struct request *req)
{
    const char *cursor;
    const char *verdict = http_query(req, "verdict"), *language = http_query(req, "language");
    const char *label = http_query(req, "label");
    struct label wanted;
    struct uuid before;
    int limit;
    enum verdict known_verdict;
    enum language known_language;
    if (rows_page_asked(req, &limit, &cursor, &before) != 0)
        return;
    if (verdict && verdict_find(span_text(verdict), &known_verdict) != 0)
        http_error(req, API_ERROR_invalid_field, "verdict: is none of the verdicts");
    else if (language && language_find(span_text(language), &known_language) != 0)
        http_error(req, API_ERROR_invalid_field, "language: is none of GET /api/languages");
    else if (label && label_parse(span_text(label), &wanted) != 0)
        http_error(req, API_ERROR_invalid_field, "label: must be NAME:VALUE");
    if (req->answered)
        return;
    struct listing *list = calloc(1, sizeof(*list));
    CHECK(list);
    *list = (struct listing){.req = req,
                             .gw = gateway_of(req),
                             .project = req->project,
                             .limit = limit,
                             .labelled = label != NULL,
                             .verdict = verdict ? verdict_name(known_verdict) : NULL,
                             .language = language ? language_name(known_language) : NULL,
                             .body = {.max = PAGE_BYTES_MAX}};
    req->task = list;
    req->gone = on_gone;
    if (label)
        label_hash(span_of(list->project->secret.bytes, 32), &wanted, list->label.bytes);
    /* No id is of a later day than tomorrow (schemas/owner_rules.h). */
    int32_t last_day = day_of_ms(gateway_wall_ns(list->gw) / 1000000) + 1;
    list->before = cursor ? before : uuid_first((last_day + 1) * DAY_MS);
    if (cursor && uuid_day(&before) < last_day)
        last_day = uuid_day(&before);
    buf_puts(&list->body, "{\"submissions\":[");
    ask_days(list, last_day);
}
