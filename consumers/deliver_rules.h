/* What deliver decides, without I/O, clock or allocation: what an attempt's end means for its
 * message, when and where it is tried again, and how much an endpoint or a project may have under
 * way (breaker, cap, shares).
 *
 * Times are milliseconds; `now_ms` is Unix time where a due time is meant, and monotonic in breaker
 * and cap. */
#pragma once
#include "schemas/webhook.h"

/* ---- the schedule ---- */
#define RULES_DELAYS 6
#define RULES_STEPS 16 /* partitions of a delay topic, one for each jitter step */
struct rules_delay {
    enum topic topic;
    int64_t ms;
};
extern const struct rules_delay rules_delays[RULES_DELAYS];

/* Of a record that goes to a delay topic now: all of the same 16 ms go to one partition, as one
 * request. With steps drawn at random, each record that failed was a request, and a flush, that the
 * attempts of healthy endpoints stood behind. */
int32_t rules_step(int64_t now_ms);
/* delay * (0.9 + 0.2 * step / 15) */
int64_t rules_delay_ms(size_t delay, int32_t step);
/* Where a record goes that must not be tried for wait_ms: the nearest longer delay, or the longest.
 * *step is raised when the delay is long enough with a later step alone. */
size_t rules_delay_for(int64_t wait_ms, int32_t *step);

/* ---- the end of an attempt ---- */
struct rules_answer {
    enum attempt_error error; /* ATTEMPT_none when there was an HTTP status */
    uint16_t status;
    const char *retry_after; /* as sent; NULL or "" = none */
};
struct rules_decision {
    enum attempt_outcome outcome;
    enum attempt_error error;
    bool disable; /* 410 */
    size_t delay; /* of OUTCOME_RETRY: row of rules_delays */
    int32_t step; /* its partition */
    int64_t due_ms;
    int64_t asked_wait_ms; /* Retry-After of 429 and 503, capped; 0 = none */
};
#define RULES_RETRY_AFTER_MAX_MS INT64_C(86400000)
/* attempt: of the record that was tried, 0 = first. */
struct rules_decision rules_decide(const struct rules_answer *answer, uint32_t attempt,
                                   int32_t step, int64_t now_ms);
/* Seconds, or an HTTP date in any of its three forms; milliseconds from now, at least 0, at most 24
 * hours; -1 = malformed. */
int64_t rules_retry_after_ms(const char *text, int64_t now_ms);
/* Does this end speak against the endpoint as a whole, not against one message? */
bool rules_blames_endpoint(const struct rules_decision *decision, uint16_t status);

/* ---- breaker: closed, open, half-open ---- */
#define RULES_BREAKER_FAILURES 5 /* one after the other */
#define RULES_BREAKER_MIN_MS 5000
#define RULES_BREAKER_MAX_MS 600000
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
struct rules_breaker { /* zeroed: closed */
    enum breaker_state state;
    unsigned failures, opened; /* in a row */
    int64_t until_ms;          /* open: monotonic */
};
/* May a delivery start? Half-open lets a single one through: call breaker_started for it.
 * *wait_ms: how long to keep away otherwise. failures_allowed 0: never opens. */
bool breaker_passes(struct rules_breaker *breaker, int64_t mono_ms, int64_t *wait_ms);
void breaker_started(struct rules_breaker *breaker);
/* The attempt that was let through never happened (taken away by a rebalance). */
void breaker_withdrawn(struct rules_breaker *breaker);
void breaker_succeeded(struct rules_breaker *breaker);
/* blamed: see rules_blames_endpoint. */
void breaker_failed(struct rules_breaker *breaker, bool blamed, unsigned failures_allowed,
                    int64_t mono_ms);
/* Nothing to remember of it. */
bool breaker_rests(const struct rules_breaker *breaker);
/* 429 and 503: the endpoint asks to be left alone; at most a minute for all its messages. */
void breaker_asked_to_wait(struct rules_breaker *breaker, int64_t wait_ms, int64_t mono_ms);

/* ---- the cap of an endpoint: grows while answers come soon, halves on trouble ---- */
/* Enough failures at once to open the breaker; each costs a handshake and hangs for the whole time.
 */
#define RULES_CAP_START RULES_BREAKER_FAILURES
#define RULES_CAP_SLOW_MS 2000 /* an answer later than this is no reason to send more at once */
struct rules_cap {
    unsigned milli;      /* thousandths of a delivery */
    bool steady;         /* had trouble: grows by one a round from now on, not by one an answer */
    int64_t lowered_ms;  /* halved at most once a second */
    unsigned latency_ms; /* moving mean of the answers; 0 = none yet */
    int64_t base_us;     /* how soon it answers at best: falls at once, rises slowly; 0 = unknown */
};
void cap_init(struct rules_cap *cap);
size_t cap_now(const struct rules_cap *cap);
void cap_answered(struct rules_cap *cap, int64_t latency_ms, size_t most);
void cap_troubled(struct rules_cap *cap, int64_t mono_ms);
/* How many records of an endpoint may wait in hand: what it will take within a second. */
size_t cap_waiting(const struct rules_cap *cap);
#define RULES_PATIENCE_MS 1000 /* after so long in hand a record goes to a delay topic */

/* ---- the window: deliveries whose attempt is not in the log yet ----
 *
 * A kill repeats just these. It grows while the broker acknowledges soon and receivers answer about
 * as soon as they ever do, and shrinks when deliveries wait for each other, so that they wait
 * before the POST: more at once would deliver no more, and cost a connection each. */
#define RULES_WINDOW_MIN 16
#define RULES_FRESH_MS 100 /* a delivery under way for longer hangs, and holds no place in it */
#define RULES_STALL_MS 250 /* without any acknowledgement: nothing more is sent until one comes */
struct rules_window {
    size_t size;
    size_t growing; /* acknowledgements that may still enlarge it; 0 = nothing waited for it */
    bool steady;    /* something came late once: until then it doubles with each round */
    int64_t lowered_ms;
    int64_t usual_us;  /* how long an acknowledgement takes: falls at once, rises slowly */
    int64_t excess_us; /* moving mean: how much later than usual receivers answer */
};
void window_was_full(struct rules_window *window); /* something waits for it */
/* Of an endpoint that is well. */
void window_answered(struct rules_window *window, struct rules_cap *cap, int64_t latency_us,
                     int64_t mono_ms);
void window_acked(struct rules_window *window, int64_t waited_ms, size_t most, int64_t mono_ms);

/* ---- shares of the projects ---- */
struct rules_share {
    unsigned weight; /* at least 1 */
    size_t in_flight;
    uint64_t served; /* order of its last start */
    bool ready;      /* has something that may start */
};
/* The project that starts next: the smallest in_flight / weight, then the longest unserved. -1 =
 * none is ready or all are at their most. */
ptrdiff_t rules_next_project(const struct rules_share *const *shares, size_t count, size_t most);
/* A project's most in flight when there are `all` slots: a quarter of them. */
size_t rules_project_most(size_t all);
