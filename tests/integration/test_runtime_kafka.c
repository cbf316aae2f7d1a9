/* The runtime on a real broker: an asynchronous stage with little room copies records while the
 * broker is killed, the process is restarted, and records come without pause. Each must arrive at
 * least once. */
#include "consumers/runtime/runtime.h"
#include "lib/log/log.h"
#include "tests/support/broker.h"
#include "tests/unit/unit.h"
#include <unistd.h>

#define RECORDS 3000
#define ROOM 16

static struct broker broker;
static struct err err;
static struct config *config;
static struct {
    struct ticket *tickets[ROOM];
    size_t count, finished;
    bool full;
    struct rnd rnd;
} desk;
static size_t acked;

static int open_stage(const struct stage_env *env, void **self, struct err *why)
{
    (void)env, (void)why;
    *self = &desk;
    return 0;
}

static enum stage_start start(void *self, struct ticket *ticket, const struct record *rec,
                              struct err *why)
{
    struct envelope env = {.type = RECORD_progress, .version = 1};

    (void)self;
    if (desk.count == ROOM || (desk.full && desk.count > ROOM / 2)) {
        desk.full = true;
        return STAGE_FULL;
    }
    desk.full = false;
    env.id = uuid_v7_at(1000000, &desk.rnd);
    env.project = env.id;
    env.retention_class = 30;
    snprintf(env.origin, sizeof env.origin, "execute");
    snprintf(env.policy, sizeof env.policy, "1");
    if (outbox_add(ticket_outbox(ticket), TOPIC_verdicts, &env, rec->value, why) < 0)
        return STAGE_ERROR;
    desk.tickets[desk.count++] = ticket;
    return STAGE_STARTED;
}

/* Finishes a few, the last first. */
static int ready(void *self, struct err *why)
{
    (void)self, (void)why;
    for (int i = 0; i < 6 && desk.count > 0; i++) {
        ticket_finish(desk.tickets[--desk.count]);
        desk.finished++;
    }
    return 0;
}

static int64_t next_due_ms(void *self)
{
    (void)self;
    return desk.count > 0 ? 0 : INT64_MAX;
}

static void revoked(void *self, struct ticket *const *tickets, size_t count)
{
    (void)self, (void)tickets;
    assert_int_equal(count, desk.count);
    desk.count = 0;
}

static const enum topic inputs[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch},
                        outputs[] = {TOPIC_verdicts};
static const struct stage stage = {.name = "desk",
                                   .group = "desk",
                                   .kind = STAGE_ASYNC,
                                   .offsets = OFFSETS_KAFKA,
                                   .inputs = inputs,
                                   .input_count = 2,
                                   .outputs = outputs,
                                   .output_count = 1,
                                   .fetch_min_bytes = 1,
                                   .fetch_wait_max_ms = 20,
                                   .queued_max_kbytes = 256,
                                   .open = open_stage,
                                   .start = start,
                                   .ready = ready,
                                   .next_due_ms = next_due_ms,
                                   .revoked = revoked};

static void on_ack(void *owner, const struct delivery *delivery)
{
    (void)owner;
    assert_int_equal(delivery->err.code, ERR_NONE);
    acked++;
}

static struct bus_config bus(void)
{
    return (struct bus_config){
        .brokers = broker.address, .prefix = "rustbox.", .fetch_wait_max_ms = 20};
}

static void make_topics(void)
{
    const enum topic topics[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch, TOPIC_verdicts,
                                 TOPIC_dead};
    struct topic_want wants[COUNT_OF(topics)];
    struct bus_config with = bus();

    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        const struct topic_spec *spec = topic_spec(topics[i]);
        wants[i] = (struct topic_want){spec->name, spec->partitions, spec->retention_ms,
                                       spec->compact, spec->durable};
    }
    assert_ok(bus_topics_create(&with, wants, COUNT_OF(wants), 30000, &err), err);
}

static struct runtime *open_runtime(void)
{
    struct runtime_options options = {&stage, config, "desk-1", clock_system, rnd_seeded(1)};
    struct runtime *rt;

    assert_ok(runtime_open(&options, &rt, &err), err);
    return rt;
}

static void close_runtime(struct runtime *rt)
{
    runtime_stop(rt);
    while (runtime_turn(rt, 20))
        ;
    runtime_close(rt);
}

/* How many of the numbers have come out; read anew from the log. */
static size_t arrived(void)
{
    static bool seen[RECORDS];
    struct partition_at parts[24];
    struct bus_config with = bus();
    struct consumer *tail;
    struct record rec;
    size_t count = 0;
    int idle = 0;

    memset(seen, 0, sizeof seen);
    for (int32_t p = 0; p < 24; p++)
        parts[p] = (struct partition_at){"verdicts", p, 0};
    assert_ok(tail_open(&with, parts, 24, &tail, &err), err);
    while (idle < 15) {
        int got = consumer_poll(tail, 100, &rec, &err);
        assert_int_not_equal(got, -1);
        idle = got ? 0 : idle + 1;
        if (got && !record_is_probe(&rec)) {
            size_t number;
            memcpy(&number, rec.value.data, sizeof number);
            count += !seen[number];
            seen[number] = true;
        }
        if (got)
            record_done(&rec);
    }
    consumer_close(tail);
    return count;
}

static void everything_arrives_although_broker_and_process_end(void **state)
{
    struct bus_config with = bus();
    struct producer *producer;
    struct runtime *rt;

    (void)state;
    make_topics();
    desk.rnd = rnd_seeded(3);
    rt = open_runtime();
    assert_ok(producer_open(&with, on_ack, NULL, &producer, &err), err);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_ok(producer_send(producer, i % 3 ? "jobs.interactive" : "jobs.batch",
                                (int32_t)(i / 7 % 24), SPAN_LIT("k"), NULL, 0,
                                span_of(&i, sizeof i), NULL, &err),
                  err);
        producer_poll(producer, 0);
        runtime_turn(rt, 1);
        if (i == RECORDS / 4) {
            broker_kill(&broker);
            for (int t = 0; t < 50; t++)
                runtime_turn(rt, 20);
            broker_restart(&broker);
        }
        if (i == RECORDS / 2) {
            close_runtime(rt);
            desk.count = 0;
            rt = open_runtime();
        }
    }
    assert_ok(producer_flush(producer, 30000, &err), err);
    producer_poll(producer, 0);
    assert_int_equal(acked, RECORDS);
    for (int i = 0; i < 20000 && desk.finished < RECORDS; i++)
        runtime_turn(rt, 10);
    for (int i = 0; i < 50; i++)
        runtime_turn(rt, 10);
    assert_true(runtime_ready(rt));
    assert_int_equal(arrived(), RECORDS);
    print_message("%zu records, %zu times finished\n", (size_t)RECORDS, desk.finished);
    close_runtime(rt);
    int64_t committed[24], ends[24];
    assert_ok(bus_committed(&with, "desk", "jobs.batch", 24, committed, 10000, &err), err);
    assert_ok(producer_end_offsets(producer, "jobs.batch", 24, ends, 10000, &err), err);
    for (int p = 0; p < 24; p++)
        assert_int_equal(committed[p], ends[p]);
    producer_close(producer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_although_broker_and_process_end),
    };
    int failed;

    broker_start_or_skip(&broker);
    setenv("RUSTBOX_KAFKA_BROKERS", broker.address, 1);
    log_open("desk", LOG_WARN, 2, &clock_system);
    failed = config_load(NULL, &config, &err) < 0 || cmocka_run_group_tests(tests, NULL, NULL);
    broker_stop(&broker);
    return failed;
}
