/* One question of a webhook request to the database: its life and its answer. */
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

void hook_list(struct hook *hook, const struct rows_list *list, const struct db_result *rows,
               size_t count)
{
    struct buf body = rows_page(list, hook, hook->limit, rows, count);
    hook_done(hook, &body);
}
