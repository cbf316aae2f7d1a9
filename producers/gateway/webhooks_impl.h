/* What the files of webhook endpoints share: one question to the database for one request. */
#pragma once
#include "producers/gateway/rows.h"
#include "schemas/webhook.h"

#define HOOK_UNKNOWN "no webhook endpoint of this project has that id"
#define HOOK_EVENTS_MAX 256 /* bytes of an endpoint's events, joined */

struct hook {
    struct request *req; /* NULL: gone */
    struct gateway *gw;
    struct uuid project, id;
    int limit;
    const struct rows_list *list; /* of what is asked for */
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
void hook_list(struct hook *hook, const struct rows_list *list, const struct db_result *rows,
               size_t count); /* a page; answers and frees */

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
