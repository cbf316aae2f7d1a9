/* Records in hand: waiting for their endpoint or a slot, under way, parked, ended.
 *
 * Called by deliver.c. A record that cannot start within a second, whose endpoint is at its cap or
 * has an open breaker, goes to a delay topic before a socket is opened: it holds neither a slot nor
 * its partition's offset. Its value is opened right before the POST (delivery.md rule 19). */
#include "consumers/deliver_impl.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SWEEP_MS 10000
#define REASON_GONE "the receiver answered 410 Gone"

/* ---- lists ---- */

void job_list_add(struct job_list *list, struct job *job)
{
    job->next = NULL;
    job->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = job;
    list->last = job;
    list->count++;
}

void job_list_remove(struct job_list *list, struct job *job)
{
    *(job->previous ? &job->previous->next : &list->first) = job->next;
    *(job->next ? &job->next->previous : &list->last) = job->previous;
    job->next = job->previous = NULL;
    list->count--;
}

static void be_patient(struct deliver *d, struct job *job)
{
    job->patient = true;
    job->next_patient = NULL;
    job->previous_patient = d->patient_last;
    *(d->patient_last ? &d->patient_last->next_patient : &d->patient_first) = job;
    d->patient_last = job;
}

static void no_longer_patient(struct deliver *d, struct job *job)
{
    if (!job->patient)
        return;
    *(job->previous_patient ? &job->previous_patient->next_patient : &d->patient_first) =
        job->next_patient;
    *(job->next_patient ? &job->next_patient->previous_patient : &d->patient_last) =
        job->previous_patient;
    job->patient = false;
}

/* ---- a job's memory ---- */

static struct job *job_new(struct deliver *d)
{
    struct job *job = d->free_jobs;

    if (job)
        d->free_jobs = job->next;
    else
        job = calloc(1, sizeof *job);
    CHECK(job != NULL);
    struct buf body = job->body;
    *job = (struct job){.body = body};
    if (body.max == 0)
        buf_init(&job->body, RECORD_BYTES_MAX);
    return job;
}

/* Out of every list; the body is wiped. */
static void job_put(struct deliver *d, struct job *job)
{
    no_longer_patient(d, job);
    if (job->post)
        d->in_flight--;
    d->in_hand--;
    if (job->body.len > 0)
        wipe(job->body.data, job->body.len);
    buf_clear(&job->body);
    job->next = d->free_jobs;
    d->free_jobs = job;
}

void hand_free(struct deliver *d)
{
    while (d->free_jobs) {
        struct job *job = d->free_jobs;
        d->free_jobs = job->next;
        buf_done(&job->body);
        free(job);
    }
}

static void no_longer_fresh(struct deliver *d, struct job *job)
{
    if (d->first_fresh == job)
        d->first_fresh = job->next;
    d->fresh -= job->fresh;
    job->fresh = false;
}

void hand_unacked(struct deliver *d)
{
    if (d->unacked++ == 0)
        d->acked_ms = deliver_mono_ms(d);
}

/* Is there room for one more whose repetition a kill would cost? */
static bool window_open(struct deliver *d)
{
    int64_t before_ms = deliver_mono_ms(d) - RULES_FRESH_MS;

    while (d->first_fresh && d->first_fresh->begun_ms <= before_ms)
        no_longer_fresh(d, d->first_fresh);
    if (d->unacked > 0 && deliver_mono_ms(d) - d->acked_ms >= RULES_STALL_MS)
        return false; /* the broker is away: what is sent now, a kill would repeat */
    if (d->unacked + d->fresh < d->window.size)
        return true;
    window_was_full(&d->window);
    return false;
}

/* Its waiting list, or its slot. */
static void leave_live(struct deliver *d, struct job *job)
{
    struct live *live = job->live;

    if (!live) {
        job_list_remove(&d->unknown, job);
        return;
    }
    live->idle_ms = deliver_mono_ms(d);
    if (!job->post) {
        job_list_remove(&live->waiting, job);
        return;
    }
    no_longer_fresh(d, job);
    job_list_remove(&d->flying, job);
    live->in_flight--;
    live->project->share.in_flight--;
    live_consider(d, live);
}

/* ---- ends ---- */

static void finish(struct deliver *d, struct job *job)
{
    struct ticket *ticket = job->ticket;

    leave_live(d, job);
    job_put(d, job);
    hand_unacked(d);
    ticket_finish(ticket);
}

static int end_without_post(struct deliver *d, struct job *job, enum attempt_outcome outcome,
                            enum attempt_error error, struct err *err)
{
    struct job_end end = {.decision = {.outcome = outcome, .error = error}};

    job->at_ms = deliver_wall_ms(d);
    if (end_write(d, job, &end, err) < 0)
        return -1;
    finish(d, job);
    return 0;
}

static int park(struct deliver *d, struct job *job, enum attempt_error why, int64_t wait_ms,
                struct err *err)
{
    if (end_park(d, job, wait_ms, err) < 0)
        return -1;
    metric_add(METRIC_deliveries_parked_total, attempt_error_name(why), 1);
    finish(d, job);
    return 0;
}

static int park_waiting(struct deliver *d, struct live *live, int64_t wait_ms, struct err *err)
{
    while (live->waiting.first)
        if (park(d, live->waiting.first, ATTEMPT_breaker_open, wait_ms, err) < 0)
            return -1;
    return 0;
}

/* ---- starting ---- */

static void post_headers(struct deliver *d, const struct job *job, char lines[5][256],
                         const char *list[7])
{
    char id[UUID_TEXT];

    uuid_format(&job->env.message, id);
    snprintf(lines[0], sizeof lines[0], "webhook-id: %s", id);
    snprintf(lines[1], sizeof lines[1], "webhook-timestamp: %" PRId64, job->at_ms / 1000);
    size_t count = 0;
    list[count++] = "Content-Type: application/json";
    list[count++] = lines[0];
    list[count++] = lines[1];
    if (job->live->doc->secret_count > 0)
        list[count++] = buf_text(&d->signature);
    if (job->env.traceparent[0]) {
        snprintf(lines[2], sizeof lines[2], "traceparent: %s", job->env.traceparent);
        list[count++] = lines[2];
    }
    list[count] = NULL;
}

static int post_it(struct deliver *d, struct job *job, struct err *err)
{
    struct live *live = job->live;
    const char *list[7];
    char lines[5][256];
    struct post_request request = {live->doc->url, list, buf_span(&job->body), job};

    job->at_ms = deliver_wall_ms(d);
    buf_clear(&d->signature);
    buf_puts(&d->signature, "webhook-signature: ");
    if (webhook_sign(live->doc, job->at_ms, &job->env.message, job->at_ms / 1000,
                     buf_span(&job->body), &d->signature, err) < 0)
        return -1;
    post_headers(d, job, lines, list);
    breaker_started(&live->breaker);
    job_list_remove(&live->waiting, job);
    no_longer_patient(d, job);
    job_list_add(&d->flying, job);
    job->begun_ms = deliver_mono_ms(d);
    job->fresh = true;
    d->fresh++;
    if (!d->first_fresh)
        d->first_fresh = job;
    live->in_flight++;
    live->project->share.in_flight++;
    d->in_flight++;
    job->post = post_start(d->poster, &request);
    return 0;
}

/* Rule 19: the value is opened anew, right before it is told to anybody. */
static int open_body(struct deliver *d, struct job *job, struct err *err)
{
    buf_clear(&job->body);
    if (job->env.retention_class > 0)
        return stage_open_value(d->ks, &job->env, RECORD_webhook, job->rec->value, &job->body, err);
    return webhook_body_open(d->webhooks.bytes, &job->env, job->rec->value, &job->body, err);
}

static bool of_this_record(const struct err *err)
{
    return err_class(err->code) == ERR_POISON || err_class(err->code) == ERR_REJECTED;
}

static int start(struct deliver *d, struct job *job, struct err *err)
{
    struct live *live = job->live;
    bool opened;

    if (live->endpoint->deleted)
        return end_without_post(d, job, OUTCOME_DROPPED, ATTEMPT_endpoint_unknown, err);
    opened = live_document(d, live, err) == 0;
    if (opened && live->doc->disabled)
        return end_without_post(d, job, OUTCOME_DROPPED, ATTEMPT_endpoint_disabled, err);
    opened = opened && open_body(d, job, err) == 0 && post_it(d, job, err) == 0;
    if (opened)
        return 0;
    if (err->code == ERR_ERASED) {
        metric_add(METRIC_erased_total, "deliver", 1);
        return end_without_post(d, job, OUTCOME_DROPPED, ATTEMPT_erased, err);
    }
    if (!of_this_record(err))
        return -1;
    log_event(LOG_WARN, "unreadable", kv_uuid("message", &job->env.message), kv_err(err));
    return end_without_post(d, job, OUTCOME_DEAD, ATTEMPT_unreadable, err);
}

static int schedule(struct deliver *d, struct err *err)
{
    struct live *live;
    int64_t wait_ms;

    while (!d->stopping && d->in_flight < d->most && window_open(d) && (live = live_next(d))) {
        if (live->waiting.count == 0)
            continue;
        if (!breaker_passes(&live->breaker, deliver_mono_ms(d), &wait_ms)) {
            if (park_waiting(d, live, wait_ms, err) < 0)
                return -1;
            continue;
        }
        if (start(d, live->waiting.first, err) < 0)
            return -1;
        live_consider(d, live);
    }
    return 0;
}

/* ---- arriving ---- */

/* Is it its endpoint, or its project, that it waits for? Else all of us wait for slots or for the
 * broker, and records are left in hand. */
static bool at_its_cap(const struct deliver *d, const struct live *live)
{
    return d->endpoint_most && (live->in_flight >= cap_now(&live->cap) ||
                                live->project->share.in_flight >= rules_project_most(d->most));
}

/* Its endpoint is known: to the queue, or away. */
static int settle_in(struct deliver *d, struct job *job, struct endpoint *endpoint, struct err *err)
{
    int64_t wait_ms;
    struct live *live;

    if (endpoint->deleted || !uuid_eq(&endpoint->project, &job->env.project))
        return end_without_post(d, job, OUTCOME_DROPPED, ATTEMPT_endpoint_unknown, err);
    job_list_remove(&d->unknown, job);
    live = job->live = live_of(d, endpoint);
    job_list_add(&live->waiting, job);
    if (!breaker_passes(&live->breaker, deliver_mono_ms(d), &wait_ms))
        return park(d, job, ATTEMPT_breaker_open, wait_ms, err);
    if (at_its_cap(d, live) && live->waiting.count > cap_waiting(&live->cap))
        return park(d, job, ATTEMPT_busy, 0, err);
    be_patient(d, job);
    live_consider(d, live);
    return 0;
}

void hand_add(struct deliver *d, struct ticket *ticket, const struct record *rec,
              const struct envelope *env, enum topic topic)
{
    struct job *job = job_new(d);
    struct seen_key key = {env->message, env->generation, env->attempt};

    job->ticket = ticket;
    job->rec = rec;
    job->env = *env;
    job->topic = topic;
    job->partition = rec->partition;
    job->offset = rec->offset;
    job->taken_ms = deliver_mono_ms(d);
    seen_put(d->seen, &key)->state = SEEN_IN_HAND;
    job_list_add(&d->unknown, job);
    d->in_hand++;
    d->dirty = true;
}

/* Those that just came, and those whose endpoint was not known: relay publishes an endpoint before
 * its messages, so what is unknown at the topic's end does not exist. */
static int place(struct deliver *d, struct err *err)
{
    for (struct job *job = d->unknown.first, *next; job; job = next) {
        struct endpoint *endpoint = endpoint_find(d, &job->env.endpoint);
        next = job->next;
        if (endpoint
                ? settle_in(d, job, endpoint, err) < 0
                : d->unknown_asked && d->endpoints_tail.reached &&
                      end_without_post(d, job, OUTCOME_DROPPED, ATTEMPT_endpoint_unknown, err) < 0)
            return -1;
    }
    if (d->unknown.count == 0)
        d->unknown_asked = false;
    else if (!d->unknown_asked) {
        d->unknown_asked = true;
        return tails_ask_endpoints(d, err);
    }
    return 0;
}

static int lose_patience(struct deliver *d, struct err *err)
{
    int64_t before_ms = deliver_mono_ms(d) - RULES_PATIENCE_MS;

    if (!d->endpoint_most)
        return 0;
    for (struct job *job; (job = d->patient_first) && job->taken_ms <= before_ms;) {
        if (!at_its_cap(d, job->live)) { /* another second */
            no_longer_patient(d, job);
            job->taken_ms = deliver_mono_ms(d);
            be_patient(d, job);
        } else if (park(d, job, ATTEMPT_busy, 0, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the end of a POST ---- */

static void learn(struct deliver *d, struct live *live, struct job_end *end)
{
    int64_t mono_ms = deliver_mono_ms(d);
    const struct rules_decision *decision = &end->decision;
    bool blamed = rules_blames_endpoint(decision, end->answer.status);

    if (decision->error == ATTEMPT_internal) { /* says nothing about it */
        breaker_withdrawn(&live->breaker);
        return;
    }
    if (decision->outcome == OUTCOME_DELIVERED)
        breaker_succeeded(&live->breaker);
    else
        breaker_failed(&live->breaker, blamed, d->breaker_failures, mono_ms);
    if (blamed)
        cap_troubled(&live->cap, mono_ms);
    else {
        cap_answered(&live->cap, end->answer.latency_us / 1000,
                     d->endpoint_most ? d->endpoint_most : d->most);
        window_answered(&d->window, &live->cap, end->answer.latency_us, mono_ms);
    }
    if (decision->asked_wait_ms > 0 && d->breaker_failures)
        breaker_asked_to_wait(&live->breaker, decision->asked_wait_ms, mono_ms);
    end->reason = decision->disable ? REASON_GONE : NULL;
}

static int ended(struct deliver *d, struct job *job, const struct post_answer *answer,
                 struct err *err)
{
    struct rules_answer said = {end_error(answer->end), answer->status, answer->retry_after};
    struct job_end end = {.answer = *answer};
    struct live *live = job->live;
    int64_t wait_ms;

    int64_t ended_ms = job->at_ms + answer->latency_us / 1000;

    end.decision = rules_decide(&said, job->env.attempt, rules_step(ended_ms), ended_ms);
    metric_observe(METRIC_delivery_seconds, NULL, (uint64_t)answer->latency_us * 1000);
    learn(d, live, &end);
    if (end_write(d, job, &end, err) < 0)
        return -1;
    finish(d, job);
    if (!breaker_passes(&live->breaker, deliver_mono_ms(d), &wait_ms))
        return park_waiting(d, live, wait_ms, err);
    return 0;
}

void hand_posted(void *deliver, void *job, const struct post_answer *answer)
{
    struct deliver *d = deliver;
    struct job *flying = job;

    flying->over = true;
    if (d->failed.code == ERR_NONE && ended(d, flying, answer, &d->failed) < 0)
        d->dirty = true; /* the runtime pauses, and everything in hand is abandoned */
}

/* ---- turns ---- */

int hand_turn(struct deliver *d, struct err *err)
{
    int64_t now_ms = deliver_mono_ms(d);

    d->dirty = false;
    if (place(d, err) < 0 || schedule(d, err) < 0 || lose_patience(d, err) < 0)
        return -1;
    metric_set(METRIC_deliveries_in_flight, NULL, (int64_t)d->in_flight);
    if (now_ms - d->swept_ms < SWEEP_MS)
        return 0;
    d->swept_ms = now_ms;
    seen_age(d->seen, now_ms);
    lives_sweep(d, false);
    lives_count(d);
    return 0;
}

static void abandon(struct deliver *d, struct job *job)
{
    struct live *live = job->live;

    if (job->post && !job->over) {
        post_cancel(job->post);
        breaker_withdrawn(&live->breaker);
    }
    leave_live(d, job);
    job_put(d, job);
}

void hand_abandon_all(struct deliver *d)
{
    while (d->flying.first)
        abandon(d, d->flying.first);
    while (d->unknown.first)
        abandon(d, d->unknown.first);
    for (struct live *live = d->lives; live; live = live->next)
        while (live->waiting.first)
            abandon(d, live->waiting.first);
    d->unknown_asked = false;
    d->unacked = 0;
}

int64_t hand_due_ms(const struct deliver *d)
{
    int64_t due_ms = INT64_MAX;

    if (d->dirty && !d->stopping)
        return 0;
    if (d->patient_first && d->endpoint_most)
        due_ms = d->patient_first->taken_ms + RULES_PATIENCE_MS;
    if (d->ready_count > 0 && d->first_fresh) {
        int64_t hangs_ms = d->first_fresh->begun_ms + RULES_FRESH_MS;
        due_ms = hangs_ms < due_ms ? hangs_ms : due_ms;
    }
    return due_ms;
}
