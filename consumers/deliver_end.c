/* What deliver writes: the attempt, and where the record goes on: a delay topic or webhooks.dead. A
 * record's value never changes; its headers are signed anew. */
#include "consumers/deliver_impl.h"
#include "lib/base/strict.h"
#include "lib/metrics/metrics.h"
#include <stdio.h>

#define PARKED_DELAYS 3 /* a parked record waits 10 minutes at most */

static const enum attempt_error errors[POST_END_COUNT] = {
    [POST_answered] = ATTEMPT_none,
    [POST_dns] = ATTEMPT_dns,
    [POST_dns_timeout] = ATTEMPT_dns_timeout,
    [POST_blocked_address] = ATTEMPT_blocked_address,
    [POST_blocked_url] = ATTEMPT_blocked_url,
    [POST_connect_refused] = ATTEMPT_connect_refused,
    [POST_connect_timeout] = ATTEMPT_connect_timeout,
    [POST_connect_failed] = ATTEMPT_connect_failed,
    [POST_tls] = ATTEMPT_tls,
    [POST_tls_certificate] = ATTEMPT_tls_certificate,
    [POST_timeout] = ATTEMPT_timeout,
    [POST_closed] = ATTEMPT_closed,
    [POST_protocol] = ATTEMPT_protocol,
    [POST_too_large] = ATTEMPT_too_large,
    [POST_send_failed] = ATTEMPT_send_failed,
    [POST_internal] = ATTEMPT_internal,
};

enum attempt_error end_error(enum post_end end)
{
    CHECK((unsigned)end < POST_END_COUNT);
    return errors[end];
}

static struct envelope our_own(const struct envelope *from, enum record_type type)
{
    struct envelope env = *from;

    env.type = type;
    env.version = 1;
    env.is_signed = false;
    env.signer[0] = '\0';
    env.not_before_ms = 0;
    snprintf(env.origin, sizeof env.origin, "deliver");
    return env;
}

static int write_attempt(struct deliver *d, const struct job *job, const struct job_end *end,
                         struct err *err)
{
    struct webhook_attempt attempt = {.source = job->topic,
                                      .source_partition = job->partition,
                                      .source_offset = job->offset,
                                      .at_ms = job->at_ms,
                                      .port = end->answer.address[0] ? end->answer.port : 0,
                                      .status = end->answer.status,
                                      .error = end->decision.error,
                                      .latency_us = end->answer.latency_us,
                                      .outcome = end->decision.outcome,
                                      .next_due_ms = end->decision.due_ms,
                                      .disable_endpoint = end->decision.disable};
    struct envelope env = our_own(&job->env, RECORD_attempt);

    memcpy(attempt.address, end->answer.address, sizeof attempt.address);
    if (end->reason)
        snprintf(attempt.reason, sizeof attempt.reason, "%s", end->reason);
    buf_clear(&d->text);
    if (webhook_attempt_encode(&attempt, &d->text, err) < 0 ||
        signing_sign(&d->signing, "deliver", buf_span(&d->text), &env, err) < 0)
        return -1;
    /* not by endpoint: that would be a request, and a flush, for each of 16 partitions at a time */
    return outbox_add_at(
        ticket_outbox(job->ticket), TOPIC_attempts,
        partition_of_time(deliver_wall_ms(d), topic_spec(TOPIC_attempts)->partitions), &env,
        buf_span(&d->text), err);
}

static int write_retry(struct deliver *d, struct ticket *ticket, const struct record *rec,
                       const struct envelope *from, uint32_t attempt, size_t delay, int32_t step,
                       int64_t due_ms, struct err *err)
{
    struct envelope env = our_own(from, RECORD_webhook);

    env.attempt = attempt;
    env.not_before_ms = due_ms;
    if (signing_sign(&d->signing, "deliver", rec->value, &env, err) < 0)
        return -1;
    return outbox_add_at(ticket_outbox(ticket), rules_delays[delay].topic, step, &env, rec->value,
                         err);
}

static int write_dead(struct deliver *d, struct ticket *ticket, const struct record *rec,
                      const struct envelope *from, struct err *err)
{
    struct envelope env = our_own(from, RECORD_webhook);

    if (signing_sign(&d->signing, "deliver", rec->value, &env, err) < 0)
        return -1;
    return outbox_add(ticket_outbox(ticket), TOPIC_webhooks_dead, &env, rec->value, err);
}

int end_write(struct deliver *d, const struct job *job, const struct job_end *end, struct err *err)
{
    const struct rules_decision *decision = &end->decision;
    struct seen_key key = {job->env.message, job->env.generation, job->env.attempt};

    seen_put(d->seen, &key)->state = SEEN_DONE;
    metric_add(METRIC_deliveries_total, attempt_outcome_name(decision->outcome), 1);
    if (decision->error != ATTEMPT_none)
        metric_add(METRIC_delivery_errors_total, attempt_error_name(decision->error), 1);
    if (write_attempt(d, job, end, err) < 0)
        return -1;
    if (decision->outcome == OUTCOME_RETRY)
        return write_retry(d, job->ticket, job->rec, &job->env, job->env.attempt + 1,
                           decision->delay, decision->step, decision->due_ms, err);
    return decision->outcome == OUTCOME_DEAD ? write_dead(d, job->ticket, job->rec, &job->env, err)
                                             : 0;
}

int end_park(struct deliver *d, const struct job *job, int64_t wait_ms, struct err *err)
{
    struct seen_key key = {job->env.message, job->env.generation, job->env.attempt};
    int64_t now_ms = deliver_wall_ms(d);
    int32_t step = rules_step(now_ms);
    size_t delay = rules_delay_for(wait_ms, &step);

    if (delay >= PARKED_DELAYS)
        delay = PARKED_DELAYS - 1;
    seen_put(d->seen, &key)->state = SEEN_NOTHING; /* it comes again, and is to be sent then */
    return write_retry(d, job->ticket, job->rec, &job->env, job->env.attempt, delay, step,
                       now_ms + rules_delay_ms(delay, step), err);
}

int end_repeat(struct deliver *d, struct ticket *ticket, const struct record *rec,
               const struct envelope *env, const struct seen_entry *entry, struct err *err)
{
    if (entry->outcome == OUTCOME_RETRY)
        return write_retry(d, ticket, rec, env, env->attempt + 1, entry->delay, entry->step,
                           entry->due_ms, err);
    return entry->outcome == OUTCOME_DEAD ? write_dead(d, ticket, rec, env, err) : 0;
}
