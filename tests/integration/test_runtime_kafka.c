/* The runtime on a real broker: an asynchronous stage with little room copies records while the
 * broker is killed, the process is restarted, and records come without pause. Each must arrive at
 * least once.
 *
 * A killed broker may leave an idempotent handle unusable; a process is then restarted. Here the
 * handle is opened again, what was not acknowledged is sent again, and a runtime that ended so is
 * replaced. One such end is certain. */
#include "consumers/runtime/runtime.h"
#include "lib/log/log.h"
#include "tests/support/broker.h"
#include "tests/unit/unit.h"
#include <unistd.h>

#define RECORDS 3000
#define ROOM 16
#define RESTARTS_MAX 4
#define CALL_TIMEOUT_MS 20000
#define END_TIMEOUT_MS 120000

static struct broker broker;
static struct err err;
static struct config *config;
static struct {
    struct ticket *tickets[ROOM];
    size_t count, finished;
    bool full;
    struct rnd rnd;
} desk;
static struct {
    struct producer *producer;
    size_t sent, acked, opened;
    bool is_acked[RECORDS], unusable;
} source;
/* Runtimes that ended by themselves: like their processes, not asked to close. */
static struct runtime *rt, *ended[RESTARTS_MAX];
static size_t ended_count;

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

static void open_runtime(void)
{
    struct runtime_options options = {&stage, config, "desk-1", clock_system, rnd_seeded(1)};

    desk.count = 0;
    assert_ok(runtime_open(&options, &rt, &err), err);
}

static void close_runtime(void)
{
    runtime_stop(rt);
    while (runtime_turn(rt, 20))
        ;
    runtime_close(rt);
}

/* A turn of the process, which the supervisor starts anew after a fatal error. */
static void turn(int timeout_ms)
{
    if (runtime_turn(rt, timeout_ms))
        return;
    assert_int_equal(runtime_status(rt), 70);
    assert_true(ended_count < RESTARTS_MAX);
    ended[ended_count++] = rt;
    open_runtime();
}

static void on_ack(void *owner, const struct delivery *delivery)
{
    size_t number = (uintptr_t)delivery->opaque;

    (void)owner;
    if (delivery->err.code == ERR_NONE) {
        source.acked += !source.is_acked[number];
        source.is_acked[number] = true;
    } else if (err_class(delivery->err.code) == ERR_FATAL) {
        source.unusable = true;
    } else {
        fail_msg("record %zu: %s", number, delivery->err.message);
    }
}

static void send_number(size_t number)
{
    if (source.unusable)
        return;
    if (producer_send(source.producer, number % 3 ? "jobs.interactive" : "jobs.batch",
                      (int32_t)(number / 7 % 24), SPAN_LIT("k"), NULL, 0,
                      span_of(&number, sizeof number), (void *)(uintptr_t)number, &err) == 0)
        return;
    if (err_class(err.code) != ERR_FATAL)
        fail_msg("record %zu: %s", number, err.message);
    source.unusable = true;
}

/* (Re)opens the handle; what it has not acknowledged goes again, in order. */
static void open_source(void)
{
    struct bus_config with = bus();

    assert_true(source.opened++ <= RESTARTS_MAX);
    producer_close(source.producer);
    source.unusable = false;
    assert_ok(producer_open(&with, on_ack, NULL, &source.producer, &err), err);
    for (size_t i = 0; i < source.sent; i++)
        if (!source.is_acked[i])
            send_number(i);
}

static void poll_source(int timeout_ms)
{
    producer_poll(source.producer, timeout_ms);
    if (source.unusable)
        open_source();
}

/* Everything that was produced to topic is finished and committed. */
static bool caught_up(const char *topic)
{
    int64_t committed[24], ends[24];
    struct bus_config with = bus();

    assert_ok(bus_committed(&with, "desk", topic, 24, committed, CALL_TIMEOUT_MS, &err), err);
    assert_ok(producer_end_offsets(source.producer, topic, 24, ends, CALL_TIMEOUT_MS, &err), err);
    for (int p = 0; p < 24; p++)
        if (ends[p] > 0 && committed[p] != ends[p])
            return false;
    return true;
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
    while (count < RECORDS && idle < 200) {
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
    int64_t until_ms;

    (void)state;
    make_topics();
    desk.rnd = rnd_seeded(3);
    open_runtime();
    open_source();
    for (size_t i = 0; i < RECORDS; i++) {
        source.sent = i + 1;
        send_number(i);
        if (i == RECORDS / 3)
            source.unusable = true; /* this process ends, with records on their way */
        poll_source(0);
        turn(1);
        if (i == RECORDS / 4) {
            broker_kill(&broker);
            for (int t = 0; t < 50; t++)
                turn(20);
            broker_restart(&broker);
        }
        if (i == RECORDS / 2) {
            close_runtime();
            open_runtime();
        }
    }
    until_ms = clock_mono_ms(&clock_system) + END_TIMEOUT_MS;
    while (source.acked < RECORDS && clock_mono_ms(&clock_system) < until_ms) {
        poll_source(10);
        turn(1);
    }
    assert_int_equal(source.acked, RECORDS);
    assert_true(source.opened > 1);
    while (!(caught_up("jobs.interactive") && caught_up("jobs.batch"))) {
        assert_true(clock_mono_ms(&clock_system) < until_ms);
        for (int t = 0; t < 100; t++)
            turn(2);
    }
    assert_true(runtime_ready(rt));
    assert_int_equal(arrived(), RECORDS);
    print_message("%d records, %zu times finished; %zu producers, %zu runtimes ended\n", RECORDS,
                  desk.finished, source.opened, ended_count);
    close_runtime();
    assert_true(caught_up("jobs.interactive") && caught_up("jobs.batch"));
    producer_close(source.producer);
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
