/* See runtime_bench.h. */
#include "tests/component/runtime_bench.h"

struct err err;
static struct config *config;
size_t reopened;
const enum topic inputs[1] = {TOPIC_submissions}, outputs[1] = {TOPIC_verdicts};

int runtime_bench_open(void)
{
    return config_load(NULL, &config, &err);
}

int add_copy(struct outbox *out, const struct record *rec, struct err *why)
{
    struct rnd rnd = rnd_seeded((uint64_t)rec->offset * 24 + (uint64_t)rec->partition);
    struct envelope env = {.type = RECORD_verdict, .version = 1};

    env.id = uuid_v7_at(1000000 + rec->offset, &rnd);
    env.project = env.id;
    env.retention_class = 30;
    snprintf(env.origin, sizeof env.origin, "execute");
    snprintf(env.policy, sizeof env.policy, "1");
    return outbox_add(out, TOPIC_verdicts, &env, rec->value, why);
}

int open_stage(const struct stage_env *env, void **self, struct err *why)
{
    (void)env, (void)why;
    *self = &reopened;
    return 0;
}

int reopen_stage(void *self, struct err *why)
{
    (void)self, (void)why;
    reopened++;
    return 0;
}

struct runtime *open_runtime(const struct stage *stage)
{
    struct runtime_options options = {stage, config, "test-1", clock_system, rnd_seeded(1)};
    struct runtime *rt;

    assert_ok(runtime_open(&options, &rt, &err), err);
    return rt;
}

void turns(struct runtime *rt, int count)
{
    while (count-- > 0)
        runtime_turn(rt, 5);
}

void settle(struct runtime *rt)
{
    turns(rt, 60);
}

void append(size_t count)
{
    for (size_t i = 0; i < count; i++)
        bus_memory_append(TOPIC_submissions, 3, SPAN_LIT("k"), NULL, 0, SPAN_LIT("value"));
}

void end(struct runtime *rt)
{
    runtime_stop(rt);
    for (int i = 0; i < 1000 && runtime_turn(rt, 5); i++)
        ;
    runtime_close(rt);
    assert_int_equal(bus_memory_open_records(), 0);
}
