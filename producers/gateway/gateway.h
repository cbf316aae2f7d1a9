/* The gateway's parts and what they tell each other. One instance per process; every part keeps a
 * pointer to it. Who decides what: README.md. */
#pragma once
#include "lib/config/config.h"
#include "lib/crypto/crypto.h"
#include "lib/kafka/bus.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "producers/gateway/http.h"
#include "producers/gateway/keyring.h"
#include "producers/gateway/store.h"
#include "producers/gateway/verdictlog.h"
#include "schemas/signing.h"
#include "schemas/submission.h"
#include "schemas/webhook_url.h"

#define PARTITIONS SUBLOG_PARTITIONS
#define CLOCK_APART_MS (30 * 60 * 1000) /* delivery.md rule 6 */

struct tails;
struct submits;
struct lookups;

struct gateway {
    const struct config *config;
    struct clock clock;
    struct rnd rnd;
    struct loop *loop;
    struct http *http;
    struct bus_config bus;
    struct producer *producer;
    struct group *execute; /* its committed offsets, for queue_depth */
    struct watch producer_watch;
    struct store *store;
    struct keystore *keystore;
    struct keyring *keyring;
    struct signing signing;
    struct secret webhooks; /* endpoints are sealed with keys derived from it */
    struct webhook_url_policy urls;
    struct sublog subs;
    struct verdictlog verdicts;
    struct tails *tails;
    struct submits *submits;
    struct lookups *lookups;
    struct arena arena; /* of one call */
    struct metrics_server *metrics;
    struct watch metrics_watch;
    size_t tail_memory_bytes;
    /* state */
    bool keys_loaded;
    bool database; /* connected, and its offsets were compared with the tails' begins */
    bool stopping;
    bool skew_known;
    int64_t skew_ms; /* broker's clock less ours */
    int64_t queue_depth, queue_depth_at_ms;
    int64_t ask_broker_at_ms, ask_pause_ms; /* after a question that was not answered in time */
    int exit_status;                        /* set with stopping by a fatal error */
};

static inline struct gateway *gateway_of(const struct request *req)
{
    return req->owner;
}
static inline int64_t gateway_wall_ns(const struct gateway *gw)
{
    return gw->clock.wall_ns(&gw->clock);
}

/* NULL = requests are served; else why not (a sentence for 503 and /api/health/ready). */
const char *gateway_unready(const struct gateway *gw);
void gateway_fatal(struct gateway *gw, const struct err *err);
int64_t gateway_queue_depth(struct gateway *gw); /* cached for 1 s */
/* Questions to the broker block the loop: one that is not answered in time pauses all of them, for
 * longer each time, until one is answered or a record is acknowledged. */
bool gateway_may_ask_broker(const struct gateway *gw);
void gateway_asked_broker(struct gateway *gw, bool answered);

/* What a record's opaque pointer leads to: told once what became of it. NULL: nobody asks. */
struct flight {
    void (*delivered)(struct flight *flight, const struct delivery *delivery);
};

/* submit.c: POST /api/submit */
struct submits *submits_new(struct gateway *gw);
void submits_free(struct submits *subs);
void submit_handle(struct request *req);
void submits_tail_moved(struct submits *subs);
bool submits_behind(const struct submits *subs); /* does one wait for the tail of submissions? */
void submits_verdict(struct submits *subs, struct verdict_seen *seen); /* wakes who waits for it */
void submits_stop(struct submits *subs); /* answers who waits: 408 with the id */
bool submits_broker_away(const struct submits *subs);
size_t submits_in_flight(const struct submits *subs);
size_t submits_waiting(const struct submits *subs); /* ?wait=true, of at most max_waiters */

/* lookup.c: what is known of an id (GET /api/result, wait on somebody else's id) */
enum lookup_kind {
    LOOKUP_BODY,    /* terminal: body is set */
    LOOKUP_OPEN,    /* pending or running: body is set */
    LOOKUP_NOTHING, /* unknown, erased or another project's: 404 */
    LOOKUP_AWAY,    /* cannot be told now: 503 */
};
struct lookup;
typedef void lookup_fn(void *opaque, enum lookup_kind kind, struct buf *body);
struct lookups *lookups_new(struct gateway *gw);
void lookups_free(struct lookups *lookups);
/* done is called once, perhaps before it returns (then NULL), unless cancelled. */
struct lookup *lookup_start(struct gateway *gw, struct project *project, const struct uuid *id,
                            lookup_fn *done, void *opaque);
void lookup_cancel(struct lookup *lookup);
void lookups_tail_moved(struct lookups *lookups);
bool lookups_behind(const struct lookups *lookups); /* does one wait for a tail? */
void result_handle(struct request *req);
/* Does the evidence of this verdict say permissive (1) or enforced (0)? -1: it cannot be told. */
int verdict_permissive(struct gateway *gw, const struct verdict_seen *seen);
/* Opens a sealed verdict and renders its body; ERR_ERASED, ERR_CORRUPT, ERR_SYSTEM. */
int verdict_body(struct gateway *gw, const struct key_id *key, const struct uuid *sealed_id,
                 struct span sealed, const struct uuid *shown, struct buf *out,
                 struct err *err) MUST_CHECK;

/* tails.c: the readers of submissions, verdicts, progress and control */
int tails_open(struct gateway *gw, const struct store_offsets *offsets, struct tails **out,
               struct err *err) MUST_CHECK;
void tails_close(struct tails *tails);
bool tails_caught_up(const struct tails *tails);
/* After every reading of the database's offsets: forget, or restart what it no longer covers. */
int tails_offsets(struct tails *tails, const struct store_offsets *offsets,
                  struct err *err) MUST_CHECK;
bool tails_passed(const struct tails *tails, enum topic topic, const int64_t ends[PARTITIONS]);
bool tails_passed_at(const struct tails *tails, int32_t partition,
                     int64_t offset); /* submissions */
/* Somebody waits for the tail of submissions: nothing is gathered until nobody does. */
void tails_hurry(struct tails *tails);
/* An own record of `submissions` was acknowledged: it counts as open before the tail has it. */
void tails_sent(struct tails *tails, struct project *project, int32_t partition, int64_t offset);
bool tails_running(const struct tails *tails, const struct uuid *id, int64_t *started_ns);
struct workers {
    int alive;               /* execute processes that began a job lately */
    const char *enforcement; /* of the last verdict looked at, or "unknown" */
};
struct workers tails_workers(const struct tails *tails);

void submissions_handle(struct request *req); /* submissions.c */
/* account.c: usage, projects and keys */
void usage_handle(struct request *req);
void projects_handle(struct request *req);
void keys_handle(struct request *req);
void key_handle(struct request *req);

/* webhooks.c: endpoints; webhook_log.c: what became of their messages */
void webhooks_handle(struct request *req);
void webhook_handle(struct request *req);

/* routes.c */
extern const struct route gateway_routes[];
extern const size_t gateway_route_count;
int gateway_before(struct request *req); /* key, then rate */
