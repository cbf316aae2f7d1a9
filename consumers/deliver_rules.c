/* See deliver_rules.h. */
#include "consumers/deliver_rules.h"
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include <stdio.h>

#define SECONDS(n) (INT64_C(1000) * (n))

const struct rules_delay rules_delays[RULES_DELAYS] = {
    {TOPIC_webhooks_retry_5s, SECONDS(5)},        {TOPIC_webhooks_retry_1m, SECONDS(60)},
    {TOPIC_webhooks_retry_10m, SECONDS(600)},     {TOPIC_webhooks_retry_1h, SECONDS(3600)},
    {TOPIC_webhooks_retry_6h, SECONDS(6 * 3600)}, {TOPIC_webhooks_retry_24h, SECONDS(24 * 3600)},
};

/* ---- the schedule ---- */

int32_t rules_step(int64_t now_ms)
{
    return (int32_t)((now_ms >> 4) % RULES_STEPS);
}

int64_t rules_delay_ms(size_t delay, int32_t step)
{
    int64_t ms = rules_delays[delay].ms;
    return ms * 9 / 10 + ms * step / (5 * (RULES_STEPS - 1));
}

size_t rules_delay_for(int64_t wait_ms, int32_t *step)
{
    for (size_t delay = 0; delay < RULES_DELAYS; delay++) {
        int32_t later = *step;
        while (later < RULES_STEPS - 1 && rules_delay_ms(delay, later) < wait_ms)
            later++;
        if (rules_delay_ms(delay, later) < wait_ms && delay + 1 < RULES_DELAYS)
            continue;
        *step = later;
        return delay;
    }
    return RULES_DELAYS - 1;
}

/* ---- Retry-After ---- */

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool month_of(const char name[4], unsigned *month)
{
    for (unsigned i = 0; i < 12; i++)
        if (memcmp(months + (size_t)3 * i, name, 3) == 0) {
            *month = i + 1;
            return true;
        }
    return false;
}

/* The three forms of RFC 9110 part 5.6.7: IMF-fixdate, RFC 850, asctime. */
static bool http_date(const char *text, int64_t now_ms, int64_t *out_ms)
{
    unsigned day = 0, month = 0, year = 0, hour = 0, minute = 0, second = 0;
    char name[4] = "", iso[48];
    int32_t days;
    int end = 0;

    sscanf(text, "%*3[A-Za-z], %2u %3[A-Za-z] %4u %2u:%2u:%2u GMT%n", &day, name, &year, &hour,
           &minute, &second, &end);
    if (end == 0 &&
        sscanf(text, "%*9[A-Za-z], %2u-%3[A-Za-z]-%2u %2u:%2u:%2u GMT%n", &day, name, &year, &hour,
               &minute, &second, &end) == 6 &&
        end > 0) {
        year += 2000; /* two digits: the century that is not more than 50 years ahead */
        if ((int64_t)(year - 1970) * 31556952000 > now_ms + INT64_C(50) * 31556952000)
            year -= 100;
    }
    if (end == 0)
        sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2u %2u:%2u:%2u %4u%n", name, &day, &hour, &minute,
               &second, &year, &end);
    if (end == 0 || text[end] != '\0' || !month_of(name, &month) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    snprintf(iso, sizeof iso, "%04u-%02u-%02u", year, month, day);
    if (day_parse(iso, &days) < 0)
        return false;
    *out_ms = days * DAY_MS + SECONDS((int64_t)hour * 3600 + minute * 60 + second);
    return true;
}

int64_t rules_retry_after_ms(const char *text, int64_t now_ms)
{
    size_t len = strlen(text);
    uint64_t seconds;
    int64_t at_ms;

    if (len > 0 && strspn(text, "0123456789") == len) /* however many digits */
        return span_u64(span_text(text), &seconds) || seconds > RULES_RETRY_AFTER_MAX_MS / 1000
                   ? RULES_RETRY_AFTER_MAX_MS
                   : (int64_t)seconds * 1000;
    if (!http_date(text, now_ms, &at_ms))
        return -1;
    if (at_ms <= now_ms)
        return 0;
    return at_ms - now_ms > RULES_RETRY_AFTER_MAX_MS ? RULES_RETRY_AFTER_MAX_MS : at_ms - now_ms;
}

/* ---- the end of an attempt ---- */

static enum attempt_error error_of(const struct rules_answer *answer)
{
    if (answer->error != ATTEMPT_none)
        return answer->error;
    if (answer->status >= 200 && answer->status < 300)
        return ATTEMPT_none;
    if (answer->status == 410)
        return ATTEMPT_gone;
    return answer->status >= 300 && answer->status < 400 ? ATTEMPT_redirect : ATTEMPT_http_status;
}

struct rules_decision rules_decide(const struct rules_answer *answer, uint32_t attempt,
                                   int32_t step, int64_t now_ms)
{
    struct rules_decision decision = {.error = error_of(answer), .step = step};

    decision.disable = decision.error == ATTEMPT_gone;
    if (decision.error == ATTEMPT_none)
        decision.outcome = OUTCOME_DELIVERED;
    else if (decision.disable || attempt >= RULES_DELAYS)
        decision.outcome = OUTCOME_DEAD;
    else {
        decision.outcome = OUTCOME_RETRY;
        decision.delay = attempt;
    }
    if (decision.error == ATTEMPT_http_status && (answer->status == 429 || answer->status == 503) &&
        answer->retry_after && answer->retry_after[0]) {
        int64_t wait_ms = rules_retry_after_ms(answer->retry_after, now_ms);
        decision.asked_wait_ms = wait_ms > 0 ? wait_ms : 0;
    }
    if (decision.outcome != OUTCOME_RETRY)
        return decision;
    if (rules_delay_ms(decision.delay, decision.step) < decision.asked_wait_ms) {
        size_t longer = rules_delay_for(decision.asked_wait_ms, &decision.step);
        decision.delay = longer > decision.delay ? longer : decision.delay;
    }
    decision.due_ms = now_ms + rules_delay_ms(decision.delay, decision.step);
    return decision;
}

bool rules_blames_endpoint(const struct rules_decision *decision, uint16_t status)
{
    switch (decision->error) {
    case ATTEMPT_http_status:
        return status >= 500 || status == 408 || status == 429;
    case ATTEMPT_none:
    case ATTEMPT_gone: /* disabled anyway */
    case ATTEMPT_redirect:
    case ATTEMPT_erased:
    case ATTEMPT_endpoint_unknown:
    case ATTEMPT_endpoint_disabled:
    case ATTEMPT_unreadable:
    case ATTEMPT_busy:
    case ATTEMPT_breaker_open:
    case ATTEMPT_internal:
        return false;
    case ATTEMPT_dns:
    case ATTEMPT_dns_timeout:
    case ATTEMPT_blocked_address:
    case ATTEMPT_blocked_url:
    case ATTEMPT_connect_refused:
    case ATTEMPT_connect_timeout:
    case ATTEMPT_connect_failed:
    case ATTEMPT_tls:
    case ATTEMPT_tls_certificate:
    case ATTEMPT_timeout:
    case ATTEMPT_closed:
    case ATTEMPT_protocol:
    case ATTEMPT_too_large:
    case ATTEMPT_send_failed:
    case ATTEMPT_ERROR_COUNT:
        break;
    }
    return true;
}
