/* Start, recovery and end of a stage's process.
 *
 * Start: topics checked, stage opened, producer warmed up, group joined; each step is repeated
 * until the servers are there, a configuration error ends the process. Readiness comes with the
 * first assignment. */
#include "consumers/runtime/internal.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include <stdlib.h>

#define SERVER_TIMEOUT_MS 10000
#define TOPICS_MAX (INPUTS_MAX + TOPIC_COUNT)

static size_t stage_topics(const struct stage *stage, bool inputs, enum topic out[TOPICS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; inputs && i < stage->input_count; i++)
        out[count++] = stage->inputs[i];
    for (size_t i = 0; i < stage->output_count; i++)
        out[count++] = stage->outputs[i];
    out[count++] = TOPIC_dead; /* any stage may meet a record without an id */
    return count;
}

static int check_topics(struct runtime *rt, struct err *err)
{
    enum topic topics[TOPICS_MAX];
    struct topic_want wants[TOPICS_MAX];
    size_t count = stage_topics(rt->stage, true, topics), n = 0;
    bool machine = strcmp(config_text(rt->env.config, SETTING_kafka_durability), "machine") == 0;

    for (size_t i = 0; i < count; i++) {
        const struct topic_spec *spec = topic_spec(topics[i]);
        bool seen = false;
        for (size_t j = 0; j < n; j++)
            seen = seen || strcmp(wants[j].name, spec->name) == 0;
        if (!seen)
            wants[n++] = (struct topic_want){spec->name, spec->partitions, spec->retention_ms,
                                             spec->compact, spec->durable && machine};
    }
    return bus_topics_check(&rt->bus, wants, n, SERVER_TIMEOUT_MS, err);
}

static int warm(struct runtime *rt, struct err *err)
{
    enum topic topics[TOPICS_MAX];
    const char *names[TOPICS_MAX];
    size_t count = stage_topics(rt->stage, false, topics);

    for (size_t i = 0; i < count; i++)
        names[i] = topic_spec(topics[i])->name;
    return producer_warm(rt->producer, names, count, SERVER_TIMEOUT_MS, err);
}

static int join(struct runtime *rt, struct err *err)
{
    const struct consumer_hooks hooks = {parts_on_assign, parts_on_revoke, rt};
    const char *names[INPUTS_MAX];

    for (size_t i = 0; i < rt->input_count; i++)
        names[i] = topic_spec(rt->inputs[i].topic)->name;
    return consumer_open(&rt->bus, rt->group, names, rt->input_count, &hooks, &rt->consumer, err);
}

int lifecycle_start(struct runtime *rt, struct err *err)
{
    if (!rt->topics_checked && check_topics(rt, err) < 0)
        return -1;
    rt->topics_checked = true;
    if (!rt->stage_open && rt->stage->open(&rt->env, &rt->self, err) < 0)
        return err_wrap(err, "opening stage %s", rt->stage->name);
    rt->stage_open = true;
    if (!rt->producer && producer_open(&rt->bus, outbox_delivered, rt, &rt->producer, err) < 0)
        return -1;
    if (!rt->warmed && warm(rt, err) < 0)
        return -1;
    rt->warmed = true;
    if (rt->input_count > 0 && !rt->consumer && join(rt, err) < 0)
        return -1;
    rt->assignment_seen |= rt->input_count == 0;
    rt->ask_again = true;
    rt->phase = PHASE_RUNNING;
    rt->backoff_ms = BACKOFF_MIN_MS;
    log_event(LOG_INFO, "started", kv("stage", rt->stage->name), kv("group", rt->group));
    return 0;
}

int lifecycle_recover(struct runtime *rt, struct err *err)
{
    if (rt->stage->reopen && rt->stage->reopen(rt->self, err) < 0)
        return err_wrap(err, "reopening stage %s", rt->stage->name);
    rt->ask_again = true;
    if (rt->consumer &&
        (parts_seek_back(rt, err) < 0 || consumer_resume(rt->consumer, NULL, 0, err) < 0))
        return -1;
    for (size_t i = 0; i < rt->input_count; i++)
        rt->inputs[i].paused = false;
    rt->blocked_ms = 0;
    rt->phase = PHASE_RUNNING;
    log_event(LOG_INFO, "resumed", kv("stage", rt->stage->name));
    return 0;
}

void lifecycle_end(struct runtime *rt)
{
    struct err err = {0};

    batch_drop(rt);
    async_drop(rt, false);
    consumer_close(rt->consumer);
    if (rt->producer && producer_flush(rt->producer, 1000, &err) < 0)
        log_event(LOG_WARN, "flush_failed", kv_err(&err));
    producer_close(rt->producer);
    if (rt->stage_open && rt->stage->close)
        rt->stage->close(rt->self);
    rt->consumer = NULL;
    rt->producer = NULL;
    rt->stage_open = false;
}
