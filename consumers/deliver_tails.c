/* The endpoints, a compacted topic read from its beginning and kept in memory, and the attempts of
 * the recent past, read when a record may have been tried by a process before this one.
 *
 * Called by deliver.c. Believes signed records alone. */
#include "consumers/deliver_impl.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>
#include <sys/epoll.h>

#define OFFSETS_TIMEOUT_MS 5000
#define RECORDS_A_TURN 2000
#define TAIL_WAIT_MS 500 /* nothing is paused: a record that comes ends the wait */
#define QUIET_MS 3000    /* compaction may have removed the very last record */
#define SLACK_MS 120000  /* a copy is attempted before its own time, by a restart's length */

/* ---- a tail ---- */

static void tail_done(struct tail *tail)
{
    consumer_close(tail->consumer);
    free(tail->next);
    free(tail->until);
    *tail = (struct tail){.consumer = NULL};
}

static int tail_begin(struct deliver *d, struct tail *tail, enum topic topic, struct err *err)
{
    const struct topic_spec *spec = topic_spec(topic);
    struct bus_config bus = *d->env->bus;
    struct epoll_event event = {.events = EPOLLIN};
    struct partition_at *from = calloc((size_t)spec->partitions, sizeof *from);
    int result;

    CHECK(from != NULL);
    for (int32_t p = 0; p < spec->partitions; p++)
        from[p] =
            (struct partition_at){spec->name, p, tail->next[p] ? tail->next[p] : BUS_EARLIEST};
    bus.fetch_wait_max_ms = TAIL_WAIT_MS;
    result = tail_open(&bus, from, (size_t)spec->partitions, &tail->consumer, err);
    free(from);
    if (result < 0)
        return -1;
    event.data.fd = consumer_fd(tail->consumer);
    if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
        return err_sys(err, ERR_SYSTEM, "tail of %s", spec->name);
    return 0;
}

static void tail_alloc(struct tail *tail, enum topic topic)
{
    tail->partitions = topic_spec(topic)->partitions;
    tail->next = calloc((size_t)tail->partitions, sizeof *tail->next);
    tail->until = calloc((size_t)tail->partitions, sizeof *tail->until);
    CHECK(tail->next && tail->until);
}

static void tail_judge(struct deliver *d, struct tail *tail)
{
    bool reached = true;

    if (tail->reached)
        return;
    for (int32_t p = 0; p < tail->partitions; p++)
        reached = reached && tail->next[p] >= tail->until[p];
    tail->reached = reached || deliver_mono_ms(d) - tail->quiet_ms >= QUIET_MS;
    d->dirty |= tail->reached;
}

static int tail_read(struct deliver *d, struct tail *tail,
                     void (*take)(struct deliver *d, const struct record *rec), struct err *err)
{
    struct record rec;
    int got = 0;

    for (int i = 0; i < RECORDS_A_TURN && tail->consumer; i++) {
        got = consumer_poll(tail->consumer, 0, &rec, err);
        if (got <= 0)
            break;
        tail->next[rec.partition] = rec.offset + 1;
        tail->quiet_ms = deliver_mono_ms(d);
        if (!record_is_probe(&rec))
            take(d, &rec);
        record_done(&rec);
    }
    tail_judge(d, tail);
    return got < 0 && err_class(err->code) == ERR_FATAL ? -1 : 0;
}

/* ---- endpoints ---- */

static struct endpoint **bucket_of(struct deliver *d, const struct uuid *id)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < sizeof id->bytes; i++)
        hash = (hash ^ id->bytes[i]) * 0x01000193U;
    return &d->endpoints[(hash ^ hash >> 16) % ENDPOINT_BUCKETS];
}

struct endpoint *endpoint_find(struct deliver *d, const struct uuid *id)
{
    struct endpoint *endpoint = *bucket_of(d, id);

    while (endpoint && !uuid_eq(&endpoint->id, id))
        endpoint = endpoint->next;
    return endpoint;
}

static struct endpoint *endpoint_make(struct deliver *d, const struct uuid *id)
{
    struct endpoint **bucket = bucket_of(d, id), *endpoint = endpoint_find(d, id);

    if (endpoint)
        return endpoint;
    endpoint = calloc(1, sizeof *endpoint);
    CHECK(endpoint != NULL);
    endpoint->id = *id;
    endpoint->next = *bucket;
    *bucket = endpoint;
    metric_set(METRIC_delivery_endpoints, NULL, (int64_t)++d->endpoint_count);
    return endpoint;
}

/* A tombstone carries the same signed headers as a document. */
static void take_endpoint(struct deliver *d, const struct record *rec)
{
    struct envelope env;
    bool has_id;
    const char *why = "its headers break a rule";

    if (stage_envelope(rec, &env, &has_id) && env.type == RECORD_endpoint)
        why = stage_distrust(&d->signing, TOPIC_endpoints, &env, &rec->value);
    if (why) {
        log_event(LOG_WARN, "endpoint_passed_over", kv("partition", rec->partition),
                  kv("offset", rec->offset), kv("why", why));
        return;
    }
    struct endpoint *endpoint = endpoint_make(d, &env.id);
    if (env.generation < endpoint->version)
        return;
    endpoint->project = env.project;
    endpoint->version = env.generation;
    endpoint->deleted = rec->value.len == 0;
    free(endpoint->sealed);
    endpoint->sealed = NULL;
    endpoint->sealed_len = (uint32_t)rec->value.len;
    if (rec->value.len > 0) {
        endpoint->sealed = malloc(rec->value.len);
        CHECK(endpoint->sealed != NULL);
        memcpy(endpoint->sealed, rec->value.data, rec->value.len);
    }
    d->dirty = true;
}

int tails_ask_endpoints(struct deliver *d, struct err *err)
{
    struct tail *tail = &d->endpoints_tail;

    tail->reached = false;
    tail->quiet_ms = deliver_mono_ms(d);
    return producer_end_offsets(d->asker, topic_spec(TOPIC_endpoints)->name, tail->partitions,
                                tail->until, OFFSETS_TIMEOUT_MS, err);
}

/* ---- the past ---- */

/* Which delay and step led to this due time: both are in it. */
static void find_delay(struct seen_entry *entry, const struct webhook_attempt *attempt)
{
    int64_t wait_ms = attempt->next_due_ms - attempt->at_ms - attempt->latency_us / 1000;
    int32_t step = rules_step(attempt->next_due_ms - wait_ms);

    for (size_t delay = 0; delay < RULES_DELAYS; delay++)
        for (int32_t s = 0; s < RULES_STEPS; s++)
            if (rules_delay_ms(delay, s) == wait_ms) {
                entry->delay = (uint8_t)delay;
                entry->step = (uint8_t)s;
                return;
            }
    entry->delay = (uint8_t)rules_delay_for(wait_ms, &step);
    entry->step = (uint8_t)step;
}

static void take_attempt(struct deliver *d, const struct record *rec)
{
    struct webhook_attempt attempt;
    struct envelope env;
    struct err err;
    bool has_id;

    if (!stage_envelope(rec, &env, &has_id) || env.type != RECORD_attempt ||
        stage_distrust(&d->signing, TOPIC_attempts, &env, &rec->value) ||
        webhook_attempt_decode(rec->value, &attempt, &err) < 0 || attempt.outcome == OUTCOME_PARKED)
        return;
    struct seen_key key = {env.message, env.generation, env.attempt};
    struct seen_entry *entry = seen_put(d->seen, &key);
    if (entry->state != SEEN_NOTHING)
        return;
    entry->state = SEEN_LOGGED;
    entry->outcome = (uint8_t)attempt.outcome;
    entry->due_ms = attempt.next_due_ms;
    if (attempt.outcome == OUTCOME_RETRY)
        find_delay(entry, &attempt);
}

bool tails_know_since(struct deliver *d, int64_t wall_ms)
{
    if (wall_ms >= d->past_from_ms)
        return true;
    if (wall_ms - SLACK_MS < d->past_wanted_ms)
        d->past_wanted_ms = wall_ms - SLACK_MS;
    return false;
}

void tails_forget_past(struct deliver *d)
{
    seen_reset(d->seen);
    tail_done(&d->past);
    d->past_from_ms = d->past_wanted_ms = INT64_MAX;
}

static int begin_past(struct deliver *d, struct err *err)
{
    const char *name = topic_spec(TOPIC_attempts)->name;
    struct tail *tail = &d->past;
    int32_t partitions = topic_spec(TOPIC_attempts)->partitions;
    int64_t count = 0;

    tail_alloc(tail, TOPIC_attempts);
    tail->quiet_ms = deliver_mono_ms(d);
    d->past_reading_ms = d->past_wanted_ms;
    if (producer_end_offsets(d->asker, name, partitions, tail->until, OFFSETS_TIMEOUT_MS, err) <
            0 ||
        producer_offsets_at(d->asker, name, partitions, d->past_wanted_ms, tail->next,
                            OFFSETS_TIMEOUT_MS, err) < 0)
        return -1;
    for (int32_t p = 0; p < partitions; p++) {
        if (tail->next[p] < 0 || tail->next[p] > tail->until[p])
            tail->next[p] = tail->until[p];
        count += tail->until[p] - tail->next[p];
    }
    log_event(LOG_INFO, "reading_attempts", kv("records", count));
    return count > 0 ? tail_begin(d, tail, TOPIC_attempts, err) : 0;
}

static int past_turn(struct deliver *d, struct err *err)
{
    if (d->past_wanted_ms >= d->past_from_ms)
        return 0;
    if (!d->past.next && begin_past(d, err) < 0) {
        tail_done(&d->past);
        return -1;
    }
    if (tail_read(d, &d->past, take_attempt, err) < 0)
        return -1;
    if (!d->past.reached)
        return 0;
    d->past_from_ms = d->past_reading_ms;
    tail_done(&d->past);
    d->dirty = true;
    log_event(LOG_INFO, "attempts_known", kv("entries", seen_count(d->seen)));
    return 0;
}

/* ---- both ---- */

int tails_open(struct deliver *d, struct err *err)
{
    d->seen = seen_new(500000);
    d->past_from_ms = d->past_wanted_ms = INT64_MAX;
    d->endpoints = calloc(ENDPOINT_BUCKETS, sizeof(struct endpoint *));
    CHECK(d->endpoints != NULL);
    tail_alloc(&d->endpoints_tail, TOPIC_endpoints);
    if (producer_open(d->env->bus, NULL, NULL, &d->asker, err) < 0 ||
        tails_ask_endpoints(d, err) < 0)
        return -1;
    return tail_begin(d, &d->endpoints_tail, TOPIC_endpoints, err);
}

void tails_close(struct deliver *d)
{
    tail_done(&d->endpoints_tail);
    tail_done(&d->past);
    producer_close(d->asker);
    seen_free(d->seen);
    for (size_t b = 0; d->endpoints && b < ENDPOINT_BUCKETS; b++)
        while (d->endpoints[b]) {
            struct endpoint *endpoint = d->endpoints[b];
            d->endpoints[b] = endpoint->next;
            free(endpoint->sealed);
            free(endpoint);
        }
    free(d->endpoints);
}

int tails_turn(struct deliver *d, struct err *err)
{
    if (tail_read(d, &d->endpoints_tail, take_endpoint, err) < 0)
        return err_wrap(err, "reading the endpoints");
    d->endpoints_read |= d->endpoints_tail.reached;
    return past_turn(d, err) < 0 ? err_wrap(err, "reading the attempts") : 0;
}

int64_t tails_due_ms(const struct deliver *d)
{
    bool past = d->past_wanted_ms < d->past_from_ms;

    if (past && !d->past.next)
        return 0;
    if (past || !d->endpoints_tail.reached)
        return deliver_mono_ms(d) + 50;
    return INT64_MAX;
}
