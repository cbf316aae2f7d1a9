/* The loop: waits, serves acknowledgements, gives the stage its turn, answers errors. See
 * runtime.h. */
#include "consumers/runtime/runtime.h"
#include "consumers/runtime/internal.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define STATUS_FATAL 70

int64_t runtime_mono_ms(const struct runtime *rt)
{
    return clock_mono_ms(&rt->clock);
}

static bool is_batch(const struct runtime *rt)
{
    return rt->stage->kind == STAGE_BATCH;
}

/* What differs between the kinds. */
static const struct kind {
    int (*turn)(struct runtime *rt, struct err *err);
    int64_t (*due_ms)(const struct runtime *rt);
    int (*finish)(struct runtime *rt, bool *done, struct err *err);
} kinds[] = {
    [STAGE_BATCH] = {batch_turn, batch_due_ms, batch_finish},
    [STAGE_ASYNC] = {async_turn, async_due_ms, async_finish},
    [STAGE_SOURCE] = {source_turn, source_due_ms, source_finish},
};

int runtime_open(const struct runtime_options *options, struct runtime **out, struct err *err)
{
    const struct stage *stage = options->stage;
    struct runtime *rt = calloc(1, sizeof *rt);
    int64_t most = stage->batch_records ? config_int(options->config, stage->batch_records)
                                        : BATCH_RECORDS_DEFAULT;

    CHECK(rt != NULL);
    rt->stage = stage;
    rt->group = stage->group;
    rt->clock = options->clock;
    rt->rnd = options->rnd;
    rt->signal_fd = -1;
    rt->backoff_ms = BACKOFF_MIN_MS;
    rt->bus = (struct bus_config){
        .brokers = config_text(options->config, SETTING_kafka_brokers),
        .client_id = options->client_id,
        .prefix = config_text(options->config, SETTING_kafka_topic_prefix),
        .linger_ms = stage->linger_ms,
        .fetch_min_bytes = stage->fetch_min_bytes,
        .fetch_wait_max_ms = stage->fetch_wait_max_ms,
        .gather_ms = stage->gather_ms,
        .queued_max_kbytes = stage->queued_max_kbytes,
    };
    rt->env = (struct stage_env){.config = options->config,
                                 .clock = &rt->clock,
                                 .rnd = &rt->rnd,
                                 .bus = &rt->bus,
                                 .best_effort = NULL};
    rt->env.best_effort = outbox_new(rt);
    rt->stash_max = most > 0 ? (size_t)most : 1;
    rt->stash = calloc(rt->stash_max, sizeof *rt->stash);
    CHECK(rt->stash != NULL);
    parts_open(rt);
    size_t parts = 0;
    for (size_t i = 0; i < rt->input_count; i++)
        parts += (size_t)rt->inputs[i].count;
    rt->marks = calloc(parts + 1, sizeof *rt->marks);
    CHECK(rt->marks != NULL);
    if (stage->metrics_listen &&
        metrics_server_open(config_text(options->config, stage->metrics_listen), &rt->metrics,
                            err) < 0) {
        runtime_close(rt);
        return -1;
    }
    metrics_server_health(rt->metrics, "starting");
    *out = rt;
    return 0;
}

void runtime_failed(struct runtime *rt, const struct err *err)
{
    enum err_class class = err_class(err->code);
    uint8_t random;

    metric_add(METRIC_errors_total, err_name(err->code), 1);
    if (class != ERR_SYSTEMIC && class != ERR_RETRY) { /* poison and rejected are a stage's bug */
        log_event(LOG_FATAL, "fatal", kv("stage", rt->stage->name), kv_err(err));
        rt->status = STATUS_FATAL;
        rt->phase = PHASE_DONE;
        return;
    }
    metric_add(METRIC_systemic_pauses_total, rt->stage->name, 1);
    rnd_fill(&rt->rnd, &random, sizeof random);
    int64_t pause_ms = rt->backoff_ms / 2 + rt->backoff_ms * random / 255;
    rt->due_ms = runtime_mono_ms(rt) + pause_ms;
    rt->backoff_ms = rt->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : rt->backoff_ms * 2;
    log_event(LOG_ERROR, "pausing", kv("stage", rt->stage->name), kv("for_ms", pause_ms),
              kv_err(err));
    if (rt->phase == PHASE_RUNNING) {
        struct err ignored = {0};
        batch_drop(rt);
        async_drop(rt, false);
        if (rt->consumer && consumer_pause(rt->consumer, NULL, 0, &ignored) < 0)
            log_event(LOG_WARN, "pause_failed", kv_err(&ignored));
        rt->phase = PHASE_RECOVERING;
    }
}

/* While recovering: rebalances must be served, and a new assignment is not paused. Its records come
 * again after the seek, also the first of a partition. */
static int serve_events(struct runtime *rt, struct err *err)
{
    struct record rec;
    int got;

    if (!rt->consumer)
        return 0;
    while ((got = consumer_poll(rt->consumer, 0, &rec, err)) > 0) {
        struct part *part = part_find(rt, rec.topic, rec.partition);
        if (part && part->assigned && part->next < 0)
            part->next = part->done = rec.offset;
        record_done(&rec);
    }
    return got < 0 && err_class(err->code) == ERR_FATAL ? -1 : 0;
}

static int recovering(struct runtime *rt, struct err *err)
{
    if (serve_events(rt, err) < 0)
        return -1;
    return rt->due_ms <= runtime_mono_ms(rt) ? lifecycle_recover(rt, err) : 0;
}

static int stopping(struct runtime *rt, struct err *err)
{
    bool done = true;
    int result = 0;

    if (rt->producer)
        result = kinds[rt->stage->kind].finish(rt, &done, err);
    if (result < 0 || runtime_mono_ms(rt) >= rt->stop_ms)
        log_event(LOG_WARN, "stop_unfinished", kv("in_flight", rt->in_flight));
    if (done || result < 0 || runtime_mono_ms(rt) >= rt->stop_ms) {
        async_drop(rt, result == 0);
        rt->phase = PHASE_DONE;
    }
    return 0; /* what is unfinished will be read again */
}

static int work(struct runtime *rt, struct err *err)
{
    if (rt->failed.code != ERR_NONE) {
        *err = rt->failed;
        rt->failed.code = ERR_NONE;
        return -1;
    }
    switch (rt->phase) {
    case PHASE_STARTING:
        return rt->due_ms <= runtime_mono_ms(rt) ? lifecycle_start(rt, err) : 0;
    case PHASE_RUNNING:
        return kinds[rt->stage->kind].turn(rt, err);
    case PHASE_RECOVERING:
        return recovering(rt, err);
    case PHASE_STOPPING:
        return stopping(rt, err);
    case PHASE_DONE:
        break;
    }
    return 0;
}

static int64_t due_ms(const struct runtime *rt)
{
    int64_t due = INT64_MAX;

    if (rt->phase == PHASE_STARTING || rt->phase == PHASE_RECOVERING)
        due = rt->due_ms;
    else if (rt->phase == PHASE_RUNNING)
        due = kinds[rt->stage->kind].due_ms(rt);
    else if (rt->phase == PHASE_STOPPING)
        due = runtime_mono_ms(rt) + 10;
    int64_t send = outboxes_due_ms(rt);
    return send < due ? send : due;
}

enum { WAIT_SIGNAL, WAIT_PRODUCER, WAIT_CONSUMER, WAIT_STAGE, WAIT_METRICS, WAITS };

static void wait_for_work(struct runtime *rt, int timeout_ms, struct pollfd waits[WAITS])
{
    int64_t left = due_ms(rt) - runtime_mono_ms(rt);
    bool reads = rt->consumer && (rt->phase == PHASE_RUNNING || rt->phase == PHASE_RECOVERING);

    if (is_batch(rt) && rt->stash_count == rt->stash_max)
        reads = false; /* it would stay readable */
    waits[WAIT_SIGNAL] = (struct pollfd){rt->signal_fd, POLLIN, 0};
    waits[WAIT_PRODUCER] =
        (struct pollfd){rt->producer ? producer_fd(rt->producer) : -1, POLLIN, 0};
    waits[WAIT_CONSUMER] = (struct pollfd){reads ? consumer_fd(rt->consumer) : -1, POLLIN, 0};
    bool asks = rt->stage_open && rt->stage->fd &&
                (rt->stage->kind != STAGE_SOURCE || (rt->phase == PHASE_RUNNING && !rt->batch));
    waits[WAIT_STAGE] = (struct pollfd){asks ? rt->stage->fd(rt->self) : -1, POLLIN, 0};
    waits[WAIT_METRICS] = (struct pollfd){metrics_server_fd(rt->metrics), POLLIN, 0};
    if (left < timeout_ms)
        timeout_ms = left < 0 ? 0 : (int)left;
    if (poll(waits, WAITS, timeout_ms) < 0)
        for (int i = 0; i < WAITS; i++)
            waits[i].revents = 0;
}

static void take_signal(struct runtime *rt)
{
    struct signalfd_siginfo info;

    if (read(rt->signal_fd, &info, sizeof info) == sizeof info)
        runtime_stop(rt);
}

bool runtime_turn(struct runtime *rt, int timeout_ms)
{
    struct pollfd waits[WAITS];
    struct err err = {0};

    if (rt->phase == PHASE_DONE)
        return false;
    wait_for_work(rt, timeout_ms, waits);
    if (waits[WAIT_SIGNAL].revents)
        take_signal(rt);
    rt->stage_readable = waits[WAIT_STAGE].revents != 0;
    if (rt->producer && (waits[WAIT_PRODUCER].revents || rt->in_flight > 0))
        producer_poll(rt->producer, 0);
    if (work(rt, &err) < 0)
        runtime_failed(rt, &err);
    outbox_send_best_effort(rt);
    if (rt->producer && rt->phase != PHASE_DONE && outboxes_send(rt, &err) < 0)
        runtime_failed(rt, &err);
    if (waits[WAIT_METRICS].revents)
        metrics_server_ready(rt->metrics);
    metrics_server_health(rt->metrics, runtime_ready(rt) ? NULL : "not ready");
    return rt->phase != PHASE_DONE;
}

void runtime_stop(struct runtime *rt)
{
    if (rt->phase == PHASE_STOPPING || rt->phase == PHASE_DONE)
        return;
    log_event(LOG_INFO, "stopping", kv("stage", rt->stage->name));
    rt->stop_ms = runtime_mono_ms(rt) + STOP_BOUND_MS;
    rt->phase = rt->phase == PHASE_RUNNING ? PHASE_STOPPING : PHASE_DONE;
}

bool runtime_ready(const struct runtime *rt)
{
    return rt->phase == PHASE_RUNNING && rt->assignment_seen;
}

int runtime_status(const struct runtime *rt)
{
    return rt->status;
}

void runtime_close(struct runtime *rt)
{
    lifecycle_end(rt);
    metrics_server_close(rt->metrics);
    parts_close(rt);
    outboxes_free(rt);
    while (rt->free_tickets) {
        struct ticket *ticket = rt->free_tickets;
        rt->free_tickets = ticket->next;
        free(ticket);
    }
    free(rt->stash);
    free(rt->marks);
    if (rt->signal_fd >= 0)
        close(rt->signal_fd);
    free(rt);
}

int runtime_run(const struct runtime_options *options)
{
    struct runtime *rt;
    struct err err = {0};
    sigset_t signals;
    int status;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* before any thread of the client library */
    if (runtime_open(options, &rt, &err) < 0) {
        log_event(LOG_FATAL, "fatal", kv_err(&err));
        return STATUS_FATAL;
    }
    rt->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    watchdog_start(options->stage->name);
    while (runtime_turn(rt, 1000))
        watchdog_feed();
    status = runtime_status(rt);
    log_event(LOG_INFO, "ended", kv("stage", options->stage->name), kv("status", status));
    log_flush();
    if (status != 0)
        _exit(status); /* a library in an unknown state is not asked to close */
    runtime_close(rt);
    return status;
}
