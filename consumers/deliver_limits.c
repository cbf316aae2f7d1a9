/* Breaker, cap and shares of deliver_rules.h. */
#include "consumers/deliver_rules.h"

#define ASKED_WAIT_MAX_MS 60000
#define LOWER_EVERY_MS 1000
#define WAITING_MAX 512
#define LATENCY_GUESS_MS 100
#define ACK_SOON_MS 15
#define ACK_LATE_MS 100
#define ANSWERS_SOON_US 10000
#define ANSWERS_LATE_US 50000
#define WINDOW_FREE 64 /* so far late answers do not hold it up: the machine may just be busy */

/* ---- breaker ---- */

bool breaker_passes(struct rules_breaker *breaker, int64_t mono_ms, int64_t *wait_ms)
{
    *wait_ms = 0;
    if (breaker->state == BREAKER_CLOSED)
        return true;
    if (breaker->state == BREAKER_OPEN && breaker->until_ms <= mono_ms)
        return true;
    *wait_ms = breaker->state == BREAKER_OPEN ? breaker->until_ms - mono_ms : RULES_BREAKER_MIN_MS;
    return false;
}

void breaker_started(struct rules_breaker *breaker)
{
    if (breaker->state == BREAKER_OPEN)
        breaker->state = BREAKER_HALF_OPEN;
}

void breaker_withdrawn(struct rules_breaker *breaker)
{
    if (breaker->state == BREAKER_HALF_OPEN)
        breaker->state = BREAKER_OPEN; /* its time is over: the next one tries */
}

void breaker_succeeded(struct rules_breaker *breaker)
{
    *breaker = (struct rules_breaker){.state = BREAKER_CLOSED};
}

static void open_breaker(struct rules_breaker *breaker, int64_t mono_ms)
{
    int64_t wait_ms = RULES_BREAKER_MIN_MS;

    for (unsigned i = 0; i < breaker->opened && wait_ms < RULES_BREAKER_MAX_MS; i++)
        wait_ms *= 2;
    breaker->state = BREAKER_OPEN;
    breaker->opened++;
    breaker->until_ms = mono_ms + (wait_ms > RULES_BREAKER_MAX_MS ? RULES_BREAKER_MAX_MS : wait_ms);
}

void breaker_failed(struct rules_breaker *breaker, bool blamed, unsigned failures_allowed,
                    int64_t mono_ms)
{
    if (!blamed) { /* it answers: alive, though of no use to this message */
        breaker->failures = breaker->opened = 0;
        breaker->state = BREAKER_CLOSED;
    } else if (breaker->state == BREAKER_HALF_OPEN)
        open_breaker(breaker, mono_ms);
    else if (breaker->state == BREAKER_CLOSED && ++breaker->failures >= failures_allowed &&
             failures_allowed > 0)
        open_breaker(breaker, mono_ms);
}

bool breaker_rests(const struct rules_breaker *breaker)
{
    return breaker->state == BREAKER_CLOSED && breaker->failures == 0;
}

void breaker_asked_to_wait(struct rules_breaker *breaker, int64_t wait_ms, int64_t mono_ms)
{
    int64_t until_ms = mono_ms + (wait_ms > ASKED_WAIT_MAX_MS ? ASKED_WAIT_MAX_MS : wait_ms);

    if (breaker->state == BREAKER_OPEN && breaker->until_ms >= until_ms)
        return;
    breaker->state = BREAKER_OPEN;
    breaker->until_ms = until_ms;
}

/* ---- cap ---- */

void cap_init(struct rules_cap *cap)
{
    *cap = (struct rules_cap){.milli = RULES_CAP_START * 1000, .lowered_ms = INT64_MIN / 2};
}

size_t cap_now(const struct rules_cap *cap)
{
    return cap->milli / 1000;
}

void cap_answered(struct rules_cap *cap, int64_t latency_ms, size_t most)
{
    unsigned latency = latency_ms < 1 ? 1 : latency_ms > 60000 ? 60000 : (unsigned)latency_ms;

    cap->latency_ms = cap->latency_ms ? (cap->latency_ms * 7 + latency) / 8 : latency;
    if (latency > RULES_CAP_SLOW_MS)
        return;
    cap->milli += cap->steady ? 1000000 / cap->milli : 1000;
    if (cap->milli > most * 1000)
        cap->milli = (unsigned)most * 1000;
}

void cap_troubled(struct rules_cap *cap, int64_t mono_ms)
{
    cap->steady = true;
    if (mono_ms - cap->lowered_ms < LOWER_EVERY_MS)
        return; /* the same trouble, told by many at once */
    cap->lowered_ms = mono_ms;
    cap->milli = cap->milli / 2 < 1000 ? 1000 : cap->milli / 2;
}

size_t cap_waiting(const struct rules_cap *cap)
{
    unsigned latency = cap->latency_ms ? cap->latency_ms : LATENCY_GUESS_MS;
    size_t within = (size_t)cap->milli * RULES_PATIENCE_MS / 1000 / latency;

    if (within < RULES_CAP_START)
        within = RULES_CAP_START;
    return within > WAITING_MAX ? WAITING_MAX : within;
}

/* ---- window ---- */

static void lower(struct rules_window *window, size_t least, int64_t mono_ms)
{
    size_t size = window->size * 3 / 4;

    window->steady = true;
    if (window->size <= least || mono_ms - window->lowered_ms < ACK_LATE_MS)
        return;
    window->lowered_ms = mono_ms;
    window->size = size < least ? least : size;
}

void window_was_full(struct rules_window *window)
{
    window->growing = window->steady ? 1 : window->size;
}

void window_answered(struct rules_window *window, struct rules_cap *cap, int64_t latency_us,
                     int64_t mono_ms)
{
    if (cap->base_us == 0 || latency_us < cap->base_us)
        cap->base_us = latency_us > 0 ? latency_us : 1;
    else
        cap->base_us += (latency_us - cap->base_us) / 4096;
    int64_t excess_us = latency_us > 2 * cap->base_us ? latency_us - 2 * cap->base_us : 0;
    window->excess_us += (excess_us - window->excess_us) / 16;
    if (window->excess_us > ANSWERS_LATE_US)
        lower(window, WINDOW_FREE, mono_ms);
}

void window_acked(struct rules_window *window, int64_t waited_ms, size_t most, int64_t mono_ms)
{
    int64_t waited_us = waited_ms * 1000;

    if (window->usual_us == 0 || waited_us < window->usual_us)
        window->usual_us = waited_us;
    else
        window->usual_us += (waited_us - window->usual_us) / 256;
    bool soon = waited_ms <= ACK_SOON_MS + window->usual_us / 500 &&
                (window->excess_us <= ANSWERS_SOON_US || window->size < WINDOW_FREE);
    window->steady |= !soon;
    if (soon && window->growing > 0 && window->size < most)
        window->size++;
    window->growing -= window->growing > 0;
    if (window->steady)
        window->growing = 0;
    if (waited_ms > ACK_LATE_MS + window->usual_us / 250)
        lower(window, RULES_WINDOW_MIN, mono_ms);
}

/* ---- shares ---- */

size_t rules_project_most(size_t all)
{
    return all / 4 > 0 ? all / 4 : 1;
}

ptrdiff_t rules_next_project(const struct rules_share *const *shares, size_t count, size_t most)
{
    ptrdiff_t best = -1;

    for (size_t i = 0; i < count; i++) {
        const struct rules_share *share = shares[i];
        if (!share->ready || share->in_flight >= most)
            continue;
        const struct rules_share *than = best < 0 ? NULL : shares[best];
        /* in_flight / weight, compared without division */
        size_t mine = than ? share->in_flight * than->weight : 0;
        size_t others = than ? than->in_flight * share->weight : 1;
        if (mine < others || (mine == others && share->served < than->served))
            best = (ptrdiff_t)i;
    }
    return best;
}
