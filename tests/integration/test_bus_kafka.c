/* lib/kafka against a real broker: topics, produce, group, seek, offsets, and a broker that is
 * killed. */
#include "lib/base/clock.h"
#include "lib/kafka/bus.h"
#include "tests/support/broker.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static struct broker broker;
static struct err err;

static struct bus_config config(const char *prefix)
{
    return (struct bus_config){.brokers = broker.address,
                               .client_id = "test-1",
                               .prefix = prefix,
                               .fetch_min_bytes = 1,
                               .fetch_wait_max_ms = 20,
                               .queued_max_kbytes = 1024,
                               .message_timeout_ms = 60000};
}

static int64_t now_ms(void)
{
    return clock_mono_ms(&clock_system);
}

/* Acknowledgements, by the index given as opaque. */
#define MANY 20000
struct acks {
    size_t good, bad;
    int64_t offset[MANY];
    struct err err;
};
static struct acks acks;

static void on_delivery(void *owner, const struct delivery *delivery)
{
    struct acks *seen = owner;
    uintptr_t index = (uintptr_t)delivery->opaque;

    if (delivery->err.code != ERR_NONE) {
        seen->bad++;
        seen->err = delivery->err;
        return;
    }
    seen->good++;
    seen->offset[index] = delivery->offset + 1;
}

static struct producer *open_producer(const struct bus_config *with)
{
    struct producer *producer;

    memset(&acks, 0, sizeof acks);
    assert_ok(producer_open(with, on_delivery, &acks, &producer, &err), err);
    return producer;
}

static void make_topic(const struct bus_config *with, int32_t partitions)
{
    struct topic_want want = {"t", partitions, 86400000, false, true};

    assert_ok(bus_topics_create(with, &want, 1, 20000, &err), err);
}

static void send_number(struct producer *producer, int32_t partition, uintptr_t number)
{
    char text[24];
    struct bus_header header = {"number", {text, 0}};

    header.value.len = (size_t)snprintf(text, sizeof text, "%lu", (unsigned long)number);
    assert_ok(producer_send(producer, "t", partition, span_text(text), &header, 1, span_text(text),
                            (void *)number, &err),
              err);
}

static void produce_numbers(const struct bus_config *with, int32_t partition, uintptr_t from,
                            uintptr_t to)
{
    struct producer *producer = open_producer(with);

    for (uintptr_t n = from; n < to; n++)
        send_number(producer, partition, n);
    assert_ok(producer_flush(producer, 20000, &err), err);
    producer_poll(producer, 0);
    assert_int_equal(acks.good, to - from);
    producer_close(producer);
}

/* The next record, by way of the descriptor. */
static void next(struct consumer *consumer, struct record *record)
{
    int64_t until = now_ms() + 20000;

    while (now_ms() < until) {
        struct pollfd waits = {consumer_fd(consumer), POLLIN, 0};
        int got = consumer_poll(consumer, 0, record, &err);
        if (got < 0)
            fail_msg("consumer_poll: %s", err.message);
        if (got == 1)
            return;
        poll(&waits, 1, 1000);
    }
    fail_msg("no record within 20 s");
}

static void expect_number(struct consumer *consumer, unsigned number)
{
    struct record record;
    char text[24];

    next(consumer, &record);
    snprintf(text, sizeof text, "%u", number);
    if (!span_is(record.value, text))
        fail_msg("record %.*s at offset %ld, wanted is %u", (int)record.value.len,
                 (const char *)record.value.data, (long)record.offset, number);
    record_done(&record);
}

static void expect_none(struct consumer *consumer, int for_ms)
{
    int64_t until = now_ms() + for_ms;
    struct record record;

    while (now_ms() < until) {
        int got = consumer_poll(consumer, 10, &record, &err);
        assert_int_not_equal(got, 1);
        if (got < 0)
            fail_msg("consumer_poll: %s", err.message);
    }
}

static void poll_and_drop(struct consumer *consumer, bool may_fail)
{
    struct record record;
    int got = consumer_poll(consumer, 20, &record, &err);

    if (got == 1)
        record_done(&record);
    if (got < 0 && !may_fail)
        fail_msg("consumer_poll: %s", err.message);
}

static struct consumer *join(const struct bus_config *with, const struct consumer_hooks *hooks)
{
    const char *topic = "t";
    struct consumer *consumer;

    assert_ok(consumer_open(with, with->prefix, &topic, 1, hooks, &consumer, &err), err);
    return consumer;
}

static void topics_are_created_checked_and_mended(void **state)
{
    struct bus_config with = config("topics.");
    struct topic_want wants[] = {{"a", 3, 86400000, false, true}, {"b", 1, 86400000, true, false}};

    (void)state;
    assert_err(bus_topics_check(&with, wants, 2, 10000, &err), err, ERR_CONFIG);
    assert_non_null(strstr(err.message, "topic topics.a: does not exist"));
    assert_non_null(strstr(err.message, "rustbox admin topics"));
    assert_ok(bus_topics_create(&with, wants, 2, 20000, &err), err);
    assert_ok(bus_topics_check(&with, wants, 2, 10000, &err), err);
    assert_ok(bus_topics_create(&with, wants, 2, 20000, &err), err);

    wants[0].retention_ms = 3600000;
    assert_err(bus_topics_check(&with, wants, 2, 10000, &err), err, ERR_CONFIG);
    assert_string_equal(err.message, "topic topics.a: retention.ms is 86400000, wanted is 3600000: "
                                     "run `rustbox admin topics`");
    assert_ok(bus_topics_create(&with, wants, 2, 20000, &err), err);
    assert_ok(bus_topics_check(&with, wants, 2, 10000, &err), err);

    wants[1].flush_each_message = true;
    assert_err(bus_topics_check(&with, wants, 2, 10000, &err), err, ERR_CONFIG);
    assert_non_null(strstr(err.message, "topics.b: flush.messages is"));
    wants[1].flush_each_message = false;
    wants[0].partitions = 4;
    assert_err(bus_topics_create(&with, wants, 2, 20000, &err), err, ERR_CONFIG);
    assert_non_null(strstr(err.message, "partitions is 3, wanted is 4: the number is permanent"));
}

static void records_arrive_with_headers_and_the_brokers_time(void **state)
{
    struct bus_config with = config("headers.");
    struct bus_header headers[BUS_HEADERS_MAX + 8];
    struct producer *producer;
    struct consumer *consumer;
    struct record record;
    int64_t before_ms = clock_wall_ms(&clock_system);

    (void)state;
    make_topic(&with, 2);
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        headers[i] = (struct bus_header){"h", SPAN_LIT("a\0b")};
    producer = open_producer(&with);
    assert_ok(
        producer_send(producer, "t", 1, SPAN_LIT("k"), headers, 2, SPAN_LIT("v\0w"), NULL, &err),
        err);
    assert_ok(producer_send(producer, "t", 1, SPAN_LIT(""), headers, COUNT_OF(headers),
                            SPAN_LIT(""), (void *)1, &err),
              err);
    assert_ok(producer_flush(producer, 10000, &err), err);
    producer_poll(producer, 0);
    assert_int_equal(acks.good, 2);
    assert_int_equal(acks.offset[1], 2);
    producer_close(producer);

    struct partition_at parts[] = {{"t", 0, 0}, {"t", 1, 0}};
    assert_ok(tail_open(&with, parts, 2, &consumer, &err), err);
    next(consumer, &record);
    assert_string_equal(record.topic, "t");
    assert_int_equal(record.partition, 1);
    assert_int_equal(record.header_count, 2);
    assert_int_equal(record.headers[1].value.len, 3);
    assert_int_equal(record.value.len, 3);
    assert_true(record.timestamp_ms >= before_ms - 1000);
    record_done(&record);
    next(consumer, &record);
    assert_int_equal(record.header_count, BUS_HEADERS_MAX + 1);
    record_done(&record);
    consumer_close(consumer);
}

static void a_missing_partition_is_an_error_and_frees_once(void **state)
{
    struct bus_config with = config("missing.");
    const char *topic = "t";
    struct producer *producer;
    struct bus_header header = {"h", SPAN_LIT("v")};

    (void)state;
    make_topic(&with, 1);
    producer = open_producer(&with);
    assert_ok(producer_warm(producer, &topic, 1, 10000, &err), err);
    assert_int_equal(acks.good, 0); /* probes are not the caller's */
    assert_err(
        producer_send(producer, "t", 7, SPAN_LIT("k"), &header, 1, SPAN_LIT("v"), NULL, &err), err,
        ERR_BROKER);
    assert_non_null(strstr(err.message, "rustbox admin topics"));
    producer_close(producer);
}

static void a_value_beyond_the_limit_is_refused_at_once(void **state)
{
    struct bus_config with = config("large.");
    struct producer *producer;
    size_t large = 4 * 1024 * 1024;
    char *value = calloc(1, large + 200000);

    (void)state;
    make_topic(&with, 1);
    producer = open_producer(&with);
    assert_err(producer_send(producer, "t", 0, SPAN_LIT("k"), NULL, 0,
                             span_of(value, large + 200000), NULL, &err),
               err, ERR_TOO_LARGE);
    assert_ok(
        producer_send(producer, "t", 0, SPAN_LIT("k"), NULL, 0, span_of(value, large), NULL, &err),
        err);
    assert_ok(producer_flush(producer, 20000, &err), err);
    producer_poll(producer, 0);
    assert_int_equal(acks.good, 1);
    producer_close(producer);
    free(value);
}

static void a_group_goes_on_at_its_commit_and_rejoins_at_once(void **state)
{
    struct bus_config with = config("group.");
    struct consumer *consumer;
    struct partition_at mark = {"t", 0, 3};
    int64_t committed[1], ends[1], begins[1], started_ms;
    struct producer *producer;
    struct record record;

    (void)state;
    make_topic(&with, 1);
    produce_numbers(&with, 0, 0, 6);
    consumer = join(&with, NULL); /* nothing committed: the earliest record */
    for (unsigned n = 0; n < 6; n++)
        expect_number(consumer, n);
    assert_ok(bus_committed(&with, with.prefix, "t", 1, committed, 10000, &err), err);
    assert_int_equal(committed[0], -1);
    mark.offset = 2;
    assert_ok(consumer_commit(consumer, &mark, 1, &err), err);
    mark.offset = 3; /* nobody waits; but polling goes on */
    assert_ok(consumer_commit_start(consumer, &mark, 1, &err), err);
    for (started_ms = now_ms(); consumer_commit_answer(consumer, &err) == 0;) {
        assert_true(now_ms() - started_ms < 5000);
        assert_int_equal(consumer_poll(consumer, 5, &record, &err), 0);
    }
    consumer_close(consumer);
    assert_ok(bus_committed(&with, with.prefix, "t", 1, committed, 10000, &err), err);
    assert_int_equal(committed[0], 3);

    started_ms = now_ms();
    consumer = join(&with, NULL);
    expect_number(consumer, 3);
    assert_true(now_ms() - started_ms < 5000); /* a static member waits for no session to end */
    expect_number(consumer, 4);
    consumer_close(consumer);

    producer = open_producer(&with);
    assert_ok(producer_end_offsets(producer, "t", 1, ends, 5000, &err), err);
    assert_ok(producer_begin_offsets(producer, "t", 1, begins, 5000, &err), err);
    assert_int_equal(ends[0], 6);
    assert_int_equal(begins[0], 0);
    producer_close(producer);
}

static void pause_resume_and_seek(void **state)
{
    struct bus_config with = config("pause.");
    struct consumer *consumer;
    struct partition_at back = {"t", 0, 1};

    (void)state;
    make_topic(&with, 1);
    produce_numbers(&with, 0, 0, 4);
    consumer = join(&with, NULL);
    expect_number(consumer, 0);
    expect_number(consumer, 1);
    assert_ok(consumer_pause(consumer, NULL, 0, &err), err);
    expect_none(consumer, 300);
    assert_ok(consumer_resume(consumer, "t", 0, &err), err);
    expect_number(consumer, 2);
    assert_ok(consumer_seek(consumer, &back, 1, &err), err);
    expect_number(consumer, 1);
    expect_number(consumer, 2);
    expect_number(consumer, 3);
    expect_none(consumer, 100);
    consumer_close(consumer);
}

static atomic_bool busy;

static void *keep_busy(void *cpu)
{
    assert_int_equal(sched_setaffinity(0, sizeof(cpu_set_t), cpu), 0);
    while (atomic_load(&busy))
        ;
    return NULL;
}

/* Every thread of the library shares a processor with a busy one and gets only what is left over.
 */
static void starve_library(const cpu_set_t *cpu)
{
    const struct sched_param none = {0};
    struct dirent *entry;
    char path[300], name[32];
    DIR *tasks = opendir("/proc/self/task");
    int starved = 0;

    while ((entry = readdir(tasks)) != NULL) {
        FILE *comm;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        if (entry->d_name[0] == '.' || (comm = fopen(path, "r")) == NULL)
            continue;
        if (fgets(name, sizeof name, comm) != NULL && strcmp(name, "rdk:main\n") == 0) {
            pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

            starved++;
            assert_int_equal(sched_setaffinity(thread, sizeof *cpu, cpu), 0);
            assert_int_equal(sched_setscheduler(thread, SCHED_IDLE, &none), 0);
        }
        fclose(comm);
    }
    closedir(tasks);
    assert_true(starved > 0);
}

static void a_seek_waits_for_a_starved_library(void **state)
{
    struct bus_config with = config("starved.");
    struct consumer *consumer;
    struct partition_at back = {"t", 0, 1};
    pthread_t thread;
    cpu_set_t cpu;

    (void)state;
    make_topic(&with, 1);
    produce_numbers(&with, 0, 0, 3);
    consumer = join(&with, NULL);
    expect_number(consumer, 0);
    CPU_ZERO(&cpu);
    CPU_SET((size_t)sched_getcpu(), &cpu);
    atomic_store(&busy, true);
    assert_int_equal(pthread_create(&thread, NULL, keep_busy, &cpu), 0);
    starve_library(&cpu);
    for (int n = 0; n < 20; n++)
        assert_ok(consumer_seek(consumer, &back, 1, &err), err);
    atomic_store(&busy, false);
    pthread_join(thread, NULL);
    expect_number(consumer, 1);
    expect_number(consumer, 2);
    expect_none(consumer, 100);
    consumer_close(consumer);
}

struct hook_state {
    int64_t offset;
    int failures, calls, revoked;
};

static int on_assign(void *owner, struct partition_at *parts, size_t count, struct err *out)
{
    struct hook_state *hook = owner;

    hook->calls++;
    if (hook->failures-- > 0)
        return err_set(out, ERR_DATABASE, "the database is away");
    for (size_t i = 0; i < count; i++)
        parts[i].offset = hook->offset;
    return 0;
}

static void on_revoke(void *owner, const struct partition_at *parts, size_t count, bool lost)
{
    (void)parts, (void)lost;
    ((struct hook_state *)owner)->revoked += (int)count;
}

static void a_hook_chooses_the_start_and_may_fail_for_a_while(void **state)
{
    struct bus_config with = config("hook.");
    struct hook_state hook = {.offset = 2, .failures = 3};
    struct consumer_hooks hooks = {on_assign, on_revoke, &hook};
    struct consumer *consumer;
    struct record record;
    int errors = 0, got;
    int64_t until = now_ms() + 15000;

    (void)state;
    make_topic(&with, 1);
    produce_numbers(&with, 0, 0, 4);
    consumer = join(&with, &hooks);
    while ((got = consumer_poll(consumer, 50, &record, &err)) != 1 && now_ms() < until)
        if (got < 0) {
            assert_int_equal(err.code, ERR_DATABASE);
            errors++;
        }
    assert_int_equal(got, 1);
    assert_int_equal(record.offset, 2);
    record_done(&record);
    assert_int_equal(errors, 3);
    assert_int_equal(hook.calls, 4);
    expect_number(consumer, 3);
    consumer_close(consumer);
}

static void a_second_member_takes_partitions_and_the_first_is_told(void **state)
{
    struct bus_config with = config("two."), other = config("two.");
    struct hook_state hook = {.offset = BUS_EARLIEST};
    struct consumer_hooks hooks = {on_assign, on_revoke, &hook};
    struct consumer *first, *second;
    int64_t until;

    (void)state;
    other.client_id = "test-2";
    make_topic(&with, 2);
    produce_numbers(&with, 0, 0, 1);
    first = join(&with, &hooks);
    expect_number(first, 0);
    second = join(&other, NULL);
    until = now_ms() + 15000;
    while (hook.revoked == 0 && now_ms() < until) {
        poll_and_drop(first, false);
        poll_and_drop(second, false);
    }
    assert_int_equal(hook.revoked, 2); /* eager: all of them */
    until = now_ms() + 15000;
    while (hook.calls < 2 && now_ms() < until) {
        poll_and_drop(first, false);
        poll_and_drop(second, false);
    }
    assert_int_equal(hook.calls, 2);
    consumer_close(first);
    consumer_close(second);
}

static void a_pause_ends_with_its_assignment(void **state)
{
    struct bus_config with = config("paused."), other = config("paused.");
    struct hook_state hook = {.offset = BUS_EARLIEST};
    struct consumer_hooks hooks = {on_assign, on_revoke, &hook};
    struct consumer *first, *second;
    struct record record;
    int got = 0;

    (void)state;
    other.client_id = "test-2";
    make_topic(&with, 2);
    for (int32_t p = 0; p < 2; p++)
        produce_numbers(&with, p, 0, 1);
    first = join(&with, &hooks);
    expect_number(first, 0);
    assert_ok(consumer_pause(first, NULL, 0, &err), err);
    expect_none(first, 300);
    second = join(&other, NULL);
    for (int64_t until = now_ms() + 20000; got == 0 && now_ms() < until;) {
        poll_and_drop(second, false);
        got = consumer_poll(first, 20, &record, &err);
    }
    assert_int_equal(got, 1); /* its half again, from the first record on */
    assert_int_equal(hook.calls, 2);
    record_done(&record);
    consumer_close(first);
    consumer_close(second);
}

static void an_offset_outside_of_the_log_is_never_replaced(void **state)
{
    struct bus_config with = config("range.");
    struct hook_state hook = {.offset = 100};
    struct consumer_hooks hooks = {on_assign, on_revoke, &hook};
    struct consumer *consumer;
    struct record record;
    int got = 0;
    int64_t until = now_ms() + 15000;

    (void)state;
    make_topic(&with, 1);
    produce_numbers(&with, 0, 0, 2);
    consumer = join(&with, &hooks);
    while (got == 0 && now_ms() < until)
        got = consumer_poll(consumer, 50, &record, &err);
    assert_int_equal(got, -1);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "outside of the log"));
    expect_none(consumer, 300);
    consumer_close(consumer);
}

/* Sends again what was not acknowledged, as the next process does after a fatal error: a killed
 * broker may leave an idempotent handle unusable. Any other failed record is a failure. */
static struct producer *replace_if_unusable(struct producer *producer,
                                            const struct bus_config *with, size_t sent)
{
    if (acks.bad == 0)
        return producer;
    if (err_class(acks.err.code) != ERR_FATAL)
        fail_msg("%zu records failed: %s", acks.bad, acks.err.message);
    producer_close(producer);
    acks.bad = 0;
    assert_ok(producer_open(with, on_delivery, &acks, &producer, &err), err);
    for (size_t n = 0; n < sent; n++)
        if (acks.offset[n] == 0)
            send_number(producer, 0, n);
    return producer;
}

/* Every acknowledged record is at its offset; in order and once as long as one handle sent them. */
static void expect_acknowledged(struct consumer *consumer, size_t count, bool one_handle)
{
    struct record record;
    char text[24];

    for (size_t found = 0, extra = 0; found < count;) {
        next(consumer, &record);
        assert_true(record.value.len < sizeof text);
        memcpy(text, record.value.data, record.value.len);
        text[record.value.len] = '\0';
        size_t number = strtoul(text, NULL, 10);
        assert_true(number < count);
        if (one_handle)
            assert_int_equal(number, found);
        if (acks.offset[number] == record.offset + 1)
            found++;
        else
            extra++;
        assert_true(!one_handle || extra == 0);
        record_done(&record);
    }
}

static void a_killed_broker_loses_and_doubles_nothing(void **state)
{
    struct bus_config with = config("kill.");
    struct producer *producer, *first;
    struct consumer *consumer;
    size_t sent = 0;
    int64_t until;

    (void)state;
    make_topic(&with, 1);
    producer = first = open_producer(&with);
    consumer = join(&with, NULL);
    while (sent < 5000) {
        send_number(producer, 0, sent++);
        if (sent % 100 == 0)
            producer_poll(producer, 1);
    }
    broker_kill(&broker);
    while (sent < 6000)
        send_number(producer, 0, sent++);
    broker_restart(&broker);
    until = now_ms() + 90000;
    while (acks.good < sent && now_ms() < until) {
        producer_poll(producer, 50);
        producer = replace_if_unusable(producer, &with, sent);
    }
    assert_int_equal(acks.good, 6000);
    expect_acknowledged(consumer, 6000, producer == first);
    if (producer == first)
        expect_none(consumer, 200);
    consumer_close(consumer);
    producer_close(producer);
}

static void a_broker_that_is_away_costs_bounded_time(void **state)
{
    struct bus_config with = config("away.");
    struct partition_at mark = {"t", 0, 1};
    struct producer *producer;
    struct consumer *consumer;
    struct record record;
    int64_t started_ms, ends[1];

    (void)state;
    make_topic(&with, 1);
    produce_numbers(&with, 0, 0, 1);
    consumer = join(&with, NULL);
    expect_number(consumer, 0);
    with.message_timeout_ms = 1000;
    producer = open_producer(&with);
    assert_ok(producer_end_offsets(producer, "t", 1, ends, 5000, &err), err);
    broker_pause(&broker, 1);
    started_ms = now_ms();
    assert_int_equal(consumer_poll(consumer, 10, &record, &err), 0);
    assert_err(consumer_commit(consumer, &mark, 1, &err), err, ERR_BROKER);
    assert_ok(consumer_commit_start(consumer, &mark, 1, &err), err);
    for (int answer = 0; answer == 0; usleep(10000)) {
        answer = consumer_commit_answer(consumer, &err);
        assert_true(answer <= 0 && now_ms() - started_ms < 10000);
    }
    assert_int_equal(err.code, ERR_BROKER);
    assert_err(producer_end_offsets(producer, "t", 1, ends, 500, &err), err, ERR_BROKER);
    send_number(producer, 0, 0);
    while (acks.bad == 0 && now_ms() - started_ms < 10000)
        producer_poll(producer, 100);
    assert_true(now_ms() - started_ms < 10000);
    assert_int_equal(acks.bad, 1);
    assert_int_equal(acks.err.code, ERR_BROKER);
    producer_close(producer);
    broker_pause(&broker, 0);
    consumer_close(consumer);
}

/* Hurries the tail a little later than it began to wait for a record. */
static void *hurry_later(void *tail)
{
    usleep(100000);
    consumer_hurry(tail, true);
    return NULL;
}

/* How long so many records take when each is produced after the one before was read; from the
 * hurried one on somebody waits for them. */
static int64_t in_turn_ms(const char *prefix, uintptr_t count, int gather_ms, uintptr_t hurried)
{
    pthread_t thread;
    struct bus_config with = config(prefix);
    struct partition_at from = {"t", 0, BUS_EARLIEST};
    struct consumer *tail;
    struct record record;

    with.gather_ms = gather_ms;
    with.fetch_wait_max_ms = 10000; /* an empty answer counts too */
    make_topic(&with, 1);
    struct producer *producer = open_producer(&with);
    assert_ok(tail_open(&with, &from, 1, &tail, &err), err);
    int64_t begin_ms = now_ms();
    for (uintptr_t n = 0; n < count; n++) {
        send_number(producer, 0, n);
        if (n == hurried)
            assert_int_equal(pthread_create(&thread, NULL, hurry_later, tail), 0);
        next(tail, &record);
        record_done(&record);
    }
    if (hurried < count)
        pthread_join(thread, NULL);
    int64_t took_ms = now_ms() - begin_ms;
    consumer_close(tail);
    producer_close(producer);
    return took_ms;
}

static void who_gathers_fetches_seldom_and_the_first_at_once(void **state)
{
    (void)state;
    assert_true(in_turn_ms("gather.", 20, 200, 20) >= (20 - 8) * 200 - 300);
    assert_true(in_turn_ms("gather4.", 4, 15000, 4) < 15000);
}

static void who_waits_ends_a_gathering(void **state)
{
    (void)state;
    assert_true(in_turn_ms("hurry.", 12, 2000, 6) < 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_created_checked_and_mended),
        cmocka_unit_test(records_arrive_with_headers_and_the_brokers_time),
        cmocka_unit_test(a_missing_partition_is_an_error_and_frees_once),
        cmocka_unit_test(a_value_beyond_the_limit_is_refused_at_once),
        cmocka_unit_test(a_group_goes_on_at_its_commit_and_rejoins_at_once),
        cmocka_unit_test(pause_resume_and_seek),
        cmocka_unit_test(a_pause_ends_with_its_assignment),
        cmocka_unit_test(a_seek_waits_for_a_starved_library),
        cmocka_unit_test(a_hook_chooses_the_start_and_may_fail_for_a_while),
        cmocka_unit_test(a_second_member_takes_partitions_and_the_first_is_told),
        cmocka_unit_test(an_offset_outside_of_the_log_is_never_replaced),
        cmocka_unit_test(who_gathers_fetches_seldom_and_the_first_at_once),
        cmocka_unit_test(who_waits_ends_a_gathering),
        cmocka_unit_test(a_broker_that_is_away_costs_bounded_time),
        cmocka_unit_test(a_killed_broker_loses_and_doubles_nothing),
    };
    int failed;

    broker_start_or_skip(&broker);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    broker_stop(&broker);
    return failed;
}
