/* What the files of webhook endpoints share: one question to the database for one request. */
#pragma once
#include "producers/gateway/gateway.h"
#include "schemas/webhook.h"
#include <inttypes.h>

#define HOOK_PAGE 50
#define HOOK_PAGE_MAX 500
#define HOOK_UNKNOWN "no webhook endpoint of this project has that id"
#define HOOK_EVENTS_MAX 256 /* bytes of an endpoint's events, joined */

struct hook {
    struct request *req; /* NULL: gone */
    struct gateway *gw;
    struct uuid project, id;
    int limit;
    int64_t at_ns;
    /* of changes */
    struct webhook_endpoint doc;
    char events[HOOK_EVENTS_MAX];
    bool has_description;
    bool shows_secret; /* and makes it */
};

/* webhook_hook.c */
struct hook *hook_new(struct request *req);
void hook_free(struct hook *hook);
void hook_away(struct hook *hook);                      /* answers 503 and frees */
bool hook_ok(struct hook *hook, const struct err *err); /* false: all is done */
void hook_done(struct hook *hook, struct buf *body);    /* answers 200 and frees */
void hook_refuse(struct hook *hook, enum api_error error, const char *message); /* and frees */
/* limit and a cursor that is an id; -1 after http_error. */
int hook_page(struct request *req, int *limit, const char **cursor, struct uuid *before);
void hook_put_time(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                   int column);
void hook_put_text(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                   int column);
void hook_put_id(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                 int column);
void hook_put_int(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                  int column);

/* A page of a list, at most hook->limit of count rows; the rest is said by next_cursor. */
struct hook_list {
    const char *name;
    size_t bytes_max;
    void (*put)(struct buf *out, const struct hook *hook, const struct db_result *rows, size_t row);
    void (*put_cursor)(struct buf *out, const struct db_result *rows, size_t row); /* of the last */
};
void hook_list(struct hook *hook, const struct hook_list *list, const struct db_result *rows,
               size_t count); /* answers and frees */
void hook_put_cursor(struct buf *out, const struct db_result *rows, size_t row); /* column 0 */

/* webhook_show.c */
void hooks_list(struct request *req);
void hook_show(struct request *req, const struct uuid *id);
void hook_put_events(struct buf *out, const char *events);
void hook_put_doc(struct buf *out, const struct webhook_endpoint *doc, int64_t now_ms);
int hook_open_row(struct gateway *gw, const struct uuid *project, const struct db_result *rows,
                  size_t row, struct webhook_endpoint *doc);

/* webhook_log.c */
void hook_deliveries(struct request *req, const struct uuid *id);
void hook_attempts(struct request *req, const struct uuid *id);
void hook_redeliver(struct request *req, const struct uuid *id);
