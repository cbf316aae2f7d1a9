/* The route table, what is judged before a body (key, then rate), and the small public answers. */
#include "lib/base/enc.h"
#include "producers/gateway/gateway.h"
#include "schemas/apikey.h"
#include <strings.h>

#define KEYS_BODY_MAX 4096
#define WEBHOOKS_BODY_MAX 16384
#define DEPTH_TTL_MS 1000
#define COMMITTED_TIMEOUT_MS 200
#define ASK_PAUSE_MS 2000
#define ASK_PAUSE_MAX_MS 4000 /* less than a miss may wait for its answer (lookup.c) */
#define DEPTH_PAUSE_MS 8000   /* after a group's coordinator did not answer */

static void languages_handle(struct request *req)
{
    struct buf body = {.max = 1024};
    buf_puts(&body, "[");
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        buf_printf(&body, "%s\"%s\"", i ? "," : "", language_name((enum language)i));
    buf_puts(&body, "]");
    http_answer(req, 200, &body);
}

static void health_handle(struct request *req)
{
    struct gateway *gw = gateway_of(req);
    struct buf body = {.max = 1024};
    struct workers workers = {.enforcement = "unknown"};
    if (gw->tails)
        workers = tails_workers(gw->tails);
    buf_printf(&body,
               "{\"status\":\"%s\",\"enforcement_mode\":\"%s\",\"workers\":%d,"
               "\"queue_depth\":%lld,\"version\":\"" RUSTBOX_VERSION "\"}",
               gateway_unready(gw) ? "degraded" : "ok", workers.enforcement, workers.alive,
               (long long)gateway_queue_depth(gw));
    http_answer(req, 200, &body);
}

static void ready_handle(struct request *req)
{
    struct gateway *gw = gateway_of(req);
    const char *why = gateway_unready(gw);
    struct buf body = {.max = 1024};
    if (!why) {
        buf_printf(&body, "{\"status\":\"ready\",\"database\":\"%s\"}",
                   gw->database ? "connected" : "away");
    } else {
        buf_puts(&body, "{\"status\":\"not_ready\",\"error\":");
        json_quote(span_text(why), &body);
        buf_puts(&body, ",\"message\":");
        json_quote(span_text(why), &body);
        buf_printf(&body, ",\"request_id\":\"%s\"}", req->request_id);
    }
    http_answer(req, why ? 503 : 200, &body);
}

const struct route gateway_routes[] = {
    {.path = "/api/submit",
     .methods = METHOD_POST,
     .is_submit = true,
     .body_max = BODY_BYTES_MAX,
     .handle = submit_handle},
    {.path = "/api/result/", .methods = METHOD_GET, .takes_tail = true, .handle = result_handle},
    {.path = "/api/languages", .methods = METHOD_GET, .handle = languages_handle},
    {.path = "/api/health", .methods = METHOD_GET, .is_public = true, .handle = health_handle},
    {.path = "/api/health/ready", .methods = METHOD_GET, .is_public = true, .handle = ready_handle},
    {.path = "/api/submissions", .methods = METHOD_GET, .handle = submissions_handle},
    {.path = "/api/usage", .methods = METHOD_GET, .handle = usage_handle},
    {.path = "/api/projects", .methods = METHOD_GET, .handle = projects_handle},
    {.path = "/api/keys",
     .methods = METHOD_GET | METHOD_POST,
     .body_max = KEYS_BODY_MAX,
     .handle = keys_handle},
    {.path = "/api/webhooks",
     .methods = METHOD_GET | METHOD_POST,
     .body_max = WEBHOOKS_BODY_MAX,
     .handle = webhooks_handle},
    {.path = "/api/webhooks/",
     .methods = METHOD_GET | METHOD_POST | METHOD_PATCH | METHOD_DELETE,
     .takes_tail = true,
     .body_max = WEBHOOKS_BODY_MAX,
     .body_optional = true,
     .handle = webhook_handle},
    {.path = "/api/keys/", .methods = METHOD_DELETE, .takes_tail = true, .handle = key_handle},
};
const size_t gateway_route_count = COUNT_OF(gateway_routes);

static struct span key_text(const struct head *head)
{
    static const char bearer[] = "Bearer ";
    size_t len = sizeof(bearer) - 1;
    const char *text = head->authorization.data;
    if (head->api_key.data)
        return head->api_key;
    if (text && head->authorization.len > len && strncasecmp(text, bearer, len) == 0)
        return span_of(text + len, head->authorization.len - len);
    return (struct span){0};
}

/* Says what to mend without telling whether a well-formed key exists. */
static void refuse_key(struct request *req, struct span key)
{
    http_header(req, "WWW-Authenticate", "Bearer");
    if (key.len == 0)
        http_error(req, API_ERROR_unauthorized, NULL);
    else if (!apikey_check(key, NULL))
        http_error(
            req, API_ERROR_unauthorized,
            "the API key is malformed (rb_live_ or rb_test_, then 38 letters and digits whose "
            "last six are a checksum): was it cut or mistyped?");
    else
        http_error(req, API_ERROR_unauthorized,
                   "the API key is unknown or revoked, or its project was deleted");
}

static int judge_rate(struct request *req, struct gateway *gw)
{
    struct project *project = req->project;
    struct rate rate = keyring_take(project, gw->clock.mono_ns(&gw->clock));
    if (rate.limit) {
        http_header(req, "RateLimit-Policy", "\"minute\";q=%llu;w=60",
                    (unsigned long long)rate.limit);
        http_header(req, "RateLimit", "\"minute\";r=%llu;t=%lld",
                    (unsigned long long)rate.remaining, (long long)rate.reset_s);
    }
    if (!rate.allowed) {
        http_header(req, "Retry-After", "%lld", (long long)rate.retry_s);
        http_error(req, API_ERROR_rate_limited, NULL);
        return -1;
    }
    project->asked_ms = loop_now_ms(gw->loop);
    if (!project_may_open(project)) {
        http_header(req, "Retry-After", "1");
        http_error(req, API_ERROR_rate_limited,
                   "the project has %llu unfinished submissions, the most its plan allows",
                   (unsigned long long)project->plan->open_max);
        return -1;
    }
    return 0;
}

int gateway_before(struct request *req)
{
    struct gateway *gw = gateway_of(req);
    if (req->route->is_public)
        return 0;
    if (gw->keys_loaded) {
        struct api_key *key = keyring_find(gw->keyring, key_text(&req->head));
        if (!key) {
            refuse_key(req, key_text(&req->head));
            return -1;
        }
        req->project = key->project;
        req->share = &key->project->share;
        req->key = key;
    }
    const char *why = gateway_unready(gw);
    if (why) {
        http_header(req, "Retry-After", "1");
        http_error(req, API_ERROR_unavailable, "%s; nothing was accepted, send it again", why);
        return -1;
    }
    return req->route->is_submit ? judge_rate(req, gw) : 0;
}

const char *gateway_unready(const struct gateway *gw)
{
    if (gw->stopping)
        return "the gateway stops";
    if (!gw->keys_loaded)
        return "the keys are not loaded yet (is the database there?)";
    if (!gw->tails || !tails_caught_up(gw->tails))
        return "the log is being read";
    if (!gw->skew_known)
        return "the broker's clock is not known yet";
    if (gw->skew_ms > CLOCK_APART_MS || gw->skew_ms < -CLOCK_APART_MS)
        return "this clock and the broker's are more than 30 minutes apart";
    if (sublog_bytes(&gw->subs) > gw->tail_memory_bytes)
        return "admission is too far behind";
    return NULL;
}

bool gateway_may_ask_broker(const struct gateway *gw)
{
    return gw->producer && !submits_broker_away(gw->submits) &&
           loop_now_ms(gw->loop) >= gw->ask_broker_at_ms;
}

void gateway_asked_broker(struct gateway *gw, bool answered)
{
    if (!answered)
        metric_add(METRIC_broker_silent_total, NULL, 1);
    gw->ask_pause_ms = answered                              ? 0
                       : !gw->ask_pause_ms                   ? ASK_PAUSE_MS
                       : gw->ask_pause_ms < ASK_PAUSE_MAX_MS ? 2 * gw->ask_pause_ms
                                                             : gw->ask_pause_ms;
    gw->ask_broker_at_ms = loop_now_ms(gw->loop) + gw->ask_pause_ms;
}

/* Records ahead of execute's committed offsets; asked at most once a second, and only when somebody
 * wants to know. */
int64_t gateway_queue_depth(struct gateway *gw)
{
    static const enum topic lanes[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch};
    int64_t now_ms = loop_now_ms(gw->loop), depth = 0;
    if (gw->queue_depth_at_ms && now_ms - gw->queue_depth_at_ms < DEPTH_TTL_MS)
        return gw->queue_depth;
    gw->queue_depth_at_ms = now_ms ? now_ms : 1;
    if (!gateway_may_ask_broker(gw))
        return gw->queue_depth;
    for (size_t i = 0; i < COUNT_OF(lanes); i++) {
        int64_t ends[PARTITIONS], done[PARTITIONS];
        struct err err;
        const char *name = topic_spec(lanes[i])->name;
        bool answered = producer_end_offsets(gw->producer, name, PARTITIONS, ends,
                                             COMMITTED_TIMEOUT_MS, &err) == 0;
        gateway_asked_broker(gw, answered);
        if (!answered)
            return gw->queue_depth;
        /* A coordinator that is not there says nothing of the broker: only this question rests. */
        if (group_committed(gw->execute, name, PARTITIONS, done, COMMITTED_TIMEOUT_MS, &err) != 0) {
            gw->queue_depth_at_ms = now_ms + DEPTH_PAUSE_MS;
            return gw->queue_depth;
        }
        for (int32_t p = 0; p < PARTITIONS; p++)
            depth += done[p] < 0 ? ends[p] : ends[p] > done[p] ? ends[p] - done[p] : 0;
    }
    return gw->queue_depth = depth;
}
