/* What webhooks.c and webhook_log.c share: one question to the database for one request. */
#pragma once
#include "producers/gateway/gateway.h"
#include "schemas/webhook.h"

#define HOOK_PAGE 50
#define HOOK_PAGE_MAX 500
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

/* webhook_log.c */
void hook_deliveries(struct request *req, const struct uuid *id);
void hook_attempts(struct request *req, const struct uuid *id);
void hook_redeliver(struct request *req, const struct uuid *id);
