/* The embedded broker together with the packaged librdkafka: what the design takes for granted.
 *
 * Talks to librdkafka directly, not through lib/kafka, so that a new version of either side is
 * judged by itself: admin, idempotent produce, headers, explicit partitions, the broker's time,
 * seek, end offsets asked of a producer, static membership, and a broker killed under load. The
 * broker is one of ops/kafka with its own ports and state. */
#include "tests/unit/unit.h"
/* after unit.h: cmocka wants its order */
#include "tests/support/broker.h"
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <time.h>

#define PARTITIONS 4
#define VALUE_MAX (4 * 1024 * 1024)
#define CALL_TIMEOUT_MS 20000

static struct broker broker;

static int64_t now_ms(clockid_t clock)
{
    struct timespec at;

    clock_gettime(clock, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* ---- handles ---- */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        fail_msg("%s: %s", name, why);
}

static rd_kafka_t *open_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *rk;

    set(conf, "bootstrap.servers", broker.address);
    set(conf, "socket.nagle.disable", "true");
    set(conf, "log_level", "2");
    rk = rd_kafka_new(type, conf, why, sizeof why);
    if (!rk)
        fail_msg("rd_kafka_new: %s", why);
    return rk;
}

struct tally {
    int acknowledged, failed;
    rd_kafka_resp_err_t last;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct tally *tally = opaque;

    (void)rk;
    if (message->err) {
        tally->failed++;
        tally->last = message->err;
    } else {
        tally->acknowledged++;
    }
}

typedef void report_fn(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

static rd_kafka_t *open_producer_for(report_fn *report, void *opaque)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "0");
    set(conf, "message.max.bytes", "4259840");
    set(conf, "topic.metadata.propagation.max.ms", "500"); /* a missing topic is told soon */
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_conf_set_dr_msg_cb(conf, report);
    return open_handle(RD_KAFKA_PRODUCER, conf);
}

static rd_kafka_t *open_producer(struct tally *tally)
{
    return open_producer_for(on_delivery, tally);
}

static rd_kafka_t *open_member(const char *group, const char *member, const char *topic)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_t *rk;

    set(conf, "group.id", group);
    set(conf, "group.instance.id", member);
    set(conf, "partition.assignment.strategy", "range");
    set(conf, "session.timeout.ms", "10000");
    set(conf, "heartbeat.interval.ms", "300");
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    set(conf, "fetch.wait.max.ms", "20");
    rk = open_handle(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    assert_int_equal(rd_kafka_subscribe(rk, topics), 0);
    rd_kafka_topic_partition_list_destroy(topics);
    return rk;
}

/* A consumer without group effects that reads all partitions from the start. */
static rd_kafka_t *open_reader(const char *topic, int32_t partitions)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_t *rk;

    set(conf, "group.id", "reader");
    set(conf, "fetch.wait.max.ms", "20");
    set(conf, "fetch.message.max.bytes", "4325376");
    set(conf, "enable.auto.commit", "false");
    rk = open_handle(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    for (int32_t i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(parts, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(rk, parts), 0);
    rd_kafka_topic_partition_list_destroy(parts);
    return rk;
}

/* The next record; errors that pass by themselves (a broker that is away) are skipped. */
static rd_kafka_message_t *next(rd_kafka_t *rk, int timeout_ms)
{
    int64_t end = now_ms(CLOCK_MONOTONIC) + timeout_ms;

    while (now_ms(CLOCK_MONOTONIC) < end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 50);
        if (message && !message->err)
            return message;
        if (message)
            rd_kafka_message_destroy(message);
    }
    return NULL;
}

/* ---- admin ---- */

/* Creates (partitions > 0) or deletes a topic; the broker's answer for it. */
static rd_kafka_resp_err_t admin(rd_kafka_t *rk, const char *topic, int partitions)
{
    char why[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_event_t *event;
    const rd_kafka_topic_result_t *const *results;
    rd_kafka_resp_err_t answer;
    size_t count = 0;

    if (partitions > 0) {
        rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, partitions, 1, why, sizeof why);
        assert_non_null(wanted);
        assert_int_equal(rd_kafka_NewTopic_set_config(wanted, "flush.messages", "1"), 0);
        rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
        rd_kafka_NewTopic_destroy(wanted);
    } else {
        rd_kafka_DeleteTopic_t *unwanted = rd_kafka_DeleteTopic_new(topic);
        rd_kafka_DeleteTopics(rk, &unwanted, 1, NULL, queue);
        rd_kafka_DeleteTopic_destroy(unwanted);
    }
    event = rd_kafka_queue_poll(queue, CALL_TIMEOUT_MS);
    assert_non_null(event);
    answer = rd_kafka_event_error(event);
    results =
        partitions > 0
            ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
            : rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
                                                  &count);
    if (!answer) {
        assert_int_equal(count, 1);
        answer = rd_kafka_topic_result_error(results[0]);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return answer;
}

/* One setting of a topic as the broker has it. */
static void topic_setting(rd_kafka_t *rk, const char *topic, const char *name, char *out,
                          size_t size)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_event_t *event;
    const rd_kafka_ConfigResource_t **resources;
    const rd_kafka_ConfigEntry_t **entries;
    size_t count;

    out[0] = '\0';
    rd_kafka_DescribeConfigs(rk, &resource, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, CALL_TIMEOUT_MS);
    assert_non_null(event);
    resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    assert_int_equal(count, 1);
    entries = rd_kafka_ConfigResource_configs(resources[0], &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
            snprintf(out, size, "%s", rd_kafka_ConfigEntry_value(entries[i]));
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
}

static int produce(rd_kafka_t *rk, const char *topic, int32_t partition, const void *value,
                   size_t size)
{
    return (int)rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                  RD_KAFKA_V_VALUE((void *)(uintptr_t)value, size),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
}

/* ---- the tests ---- */

static void topics_are_made_with_settings_and_only_by_request(void **state)
{
    struct tally tally = {0};
    rd_kafka_t *rk = open_producer(&tally);
    char value[64];

    (void)state;
    assert_int_equal(admin(rk, "made", PARTITIONS), 0);
    assert_int_equal(admin(rk, "made", PARTITIONS), RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS);
    topic_setting(rk, "made", "flush.messages", value, sizeof value);
    assert_string_equal(value, "1");
    topic_setting(rk, "made", "message.timestamp.type", value, sizeof value);
    assert_string_equal(value, "LogAppendTime");
    assert_int_equal(admin(rk, "made", 0), 0);
    assert_int_equal(admin(rk, "made", 0), RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    /* A topic that nobody made is not made by writing to it. */
    if (produce(rk, "never.made", 0, "x", 1) == 0)
        rd_kafka_flush(rk, CALL_TIMEOUT_MS);
    assert_int_equal(tally.acknowledged, 0);
    rd_kafka_destroy(rk);
}

static void records_keep_headers_partition_and_the_brokers_time(void **state)
{
    struct tally tally = {0};
    rd_kafka_t *rk = open_producer(&tally), *reader;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(7);
    rd_kafka_message_t *message;
    rd_kafka_timestamp_type_t kind;
    const void *value;
    size_t size;
    int64_t began = now_ms(CLOCK_REALTIME);

    (void)state;
    assert_int_equal(admin(rk, "headers", PARTITIONS), 0);
    for (int i = 0; i < 7; i++) {
        char name[8];
        snprintf(name, sizeof name, "h%d", i);
        rd_kafka_header_add(headers, name, -1, "a\0b", 3);
    }
    /* The client's time says 1970: it must not be believed. */
    assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("headers"), RD_KAFKA_V_PARTITION(2),
                                       RD_KAFKA_V_VALUE("body", 4), RD_KAFKA_V_TIMESTAMP(1000),
                                       RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
                     0);
    assert_int_equal(rd_kafka_flush(rk, CALL_TIMEOUT_MS), 0);
    assert_int_equal(tally.acknowledged, 1);

    reader = open_reader("headers", PARTITIONS);
    message = next(reader, CALL_TIMEOUT_MS);
    assert_non_null(message);
    assert_int_equal(message->partition, 2);
    assert_true(rd_kafka_message_timestamp(message, &kind) >= began - 1000);
    assert_int_equal(kind, RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME);
    assert_int_equal(rd_kafka_message_headers(message, &headers), 0);
    assert_int_equal(rd_kafka_header_cnt(headers), 7);
    assert_int_equal(rd_kafka_header_get_last(headers, "h6", &value, &size), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(value, "a\0b", 3);
    rd_kafka_message_destroy(message);
    rd_kafka_destroy(reader);
    rd_kafka_destroy(rk);
}

static void the_largest_record_passes(void **state)
{
    struct tally tally = {0};
    rd_kafka_t *rk = open_producer(&tally), *reader;
    char *value = malloc(VALUE_MAX);
    rd_kafka_message_t *message;

    (void)state;
    assert_non_null(value);
    memset(value, 'x', VALUE_MAX);
    assert_int_equal(admin(rk, "large", 1), 0);
    assert_int_equal(produce(rk, "large", 0, value, VALUE_MAX), 0);
    assert_int_equal(rd_kafka_flush(rk, CALL_TIMEOUT_MS), 0);
    assert_int_equal(tally.acknowledged, 1);
    reader = open_reader("large", 1);
    message = next(reader, CALL_TIMEOUT_MS);
    assert_non_null(message);
    assert_int_equal(message->len, VALUE_MAX);
    rd_kafka_message_destroy(message);
    rd_kafka_destroy(reader);
    rd_kafka_destroy(rk);
    free(value);
}

/* Ends of all partitions in one request, asked of a handle that does not consume; then seek. */
static void ends_are_told_and_seek_goes_back(void **state)
{
    struct tally tally = {0};
    rd_kafka_t *rk = open_producer(&tally), *reader;
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(PARTITIONS);
    rd_kafka_message_t *message;
    int64_t offset = -1;

    (void)state;
    assert_int_equal(admin(rk, "ends", PARTITIONS), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(produce(rk, "ends", i % 2, "x", 1), 0);
    assert_int_equal(rd_kafka_flush(rk, CALL_TIMEOUT_MS), 0);
    for (int32_t i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(parts, "ends", i)->offset = RD_KAFKA_OFFSET_END;
    assert_int_equal(rd_kafka_offsets_for_times(rk, parts, CALL_TIMEOUT_MS), 0);
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(parts->elems[i].offset, i < 2 ? 5 : 0);
    rd_kafka_topic_partition_list_destroy(parts);

    reader = open_reader("ends", PARTITIONS);
    for (int i = 0; i < 10; i++) {
        message = next(reader, CALL_TIMEOUT_MS);
        assert_non_null(message);
        rd_kafka_message_destroy(message);
    }
    parts = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(parts, "ends", 1)->offset = 3;
    rd_kafka_error_destroy(rd_kafka_seek_partitions(reader, parts, CALL_TIMEOUT_MS));
    rd_kafka_topic_partition_list_destroy(parts);
    message = next(reader, CALL_TIMEOUT_MS);
    if (message) {
        assert_int_equal(message->partition, 1);
        offset = message->offset;
        rd_kafka_message_destroy(message);
    }
    assert_int_equal(offset, 3);
    rd_kafka_destroy(reader);
    rd_kafka_destroy(rk);
}

/* A static member that vanished without leaving is back at once under its name, and goes on at its
 * commit; another name gets the partitions only when the session has timed out (10 s). */
static void a_static_member_rejoins_at_once(void **state)
{
    struct tally tally = {0};
    rd_kafka_t *rk = open_producer(&tally), *member;
    rd_kafka_message_t *message;
    int64_t began;

    (void)state;
    assert_int_equal(admin(rk, "group", 1), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(produce(rk, "group", 0, "x", 1), 0);
    assert_int_equal(rd_kafka_flush(rk, CALL_TIMEOUT_MS), 0);
    for (int i = 0; i < 2; i++) {
        member = open_member("members", "one", "group");
        began = now_ms(CLOCK_MONOTONIC);
        message = next(member, CALL_TIMEOUT_MS);
        assert_non_null(message);
        assert_int_equal(message->offset, i);
        if (i > 0) /* far below the session timeout of the one that vanished */
            assert_true(now_ms(CLOCK_MONOTONIC) - began < 9000);
        assert_int_equal(rd_kafka_commit_message(member, message, 0), 0);
        rd_kafka_message_destroy(message);
        rd_kafka_destroy_flags(member, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    member = open_member("members", "two", "group");
    message = next(member, CALL_TIMEOUT_MS);
    assert_non_null(message);
    assert_int_equal(message->offset, 2);
    rd_kafka_message_destroy(message);
    rd_kafka_destroy(member);
    rd_kafka_destroy(rk);
}

/* ---- a campaign: numbered records to one partition while something breaks ----
 *
 * A broker that is killed may leave an idempotent handle unusable (its sequence and the broker's
 * differ). A process then ends; the next one sends again what was not acknowledged. So: every
 * acknowledged record is there, and of each handle each record at most once and in order. A record
 * may come again, from a later handle, only when no earlier one acknowledged it. */
enum { CAMPAIGN = 6000, HANDLES_MAX = 4 };
struct numbered {
    int handle, number;
};
static struct campaign {
    rd_kafka_t *rk;
    const char *topic;
    int handle, sent, acknowledged;
    int by[CAMPAIGN]; /* the handle that acknowledged it; -1: none yet */
    bool unusable;
} campaign;

static void on_numbered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct numbered value;

    (void)opaque;
    memcpy(&value, message->payload, sizeof value);
    if (!message->err) {
        assert_int_equal(campaign.by[value.number], -1);
        campaign.by[value.number] = value.handle;
        campaign.acknowledged++;
    } else if (rd_kafka_fatal_error(rk, NULL, 0)) {
        campaign.unusable = true;
    } else {
        fail_msg("record %d: %s", value.number, rd_kafka_err2str(message->err));
    }
}

static void send_numbered(int number)
{
    struct numbered value = {campaign.handle, number};

    if (campaign.unusable ||
        produce(campaign.rk, campaign.topic, 0, &value, sizeof value) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    assert_int_not_equal(rd_kafka_fatal_error(campaign.rk, NULL, 0), 0);
    campaign.unusable = true;
}

static void poll_campaign(int timeout_ms)
{
    rd_kafka_poll(campaign.rk, timeout_ms);
    if (!campaign.unusable)
        return;
    rd_kafka_poll(campaign.rk, 0); /* what is acknowledged already is not sent again */
    rd_kafka_purge(campaign.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(campaign.rk);
    campaign.handle++;
    assert_true(campaign.handle < HANDLES_MAX);
    campaign.unusable = false;
    campaign.rk = open_producer_for(on_numbered, NULL);
    for (int i = 0; i < campaign.sent; i++)
        if (campaign.by[i] < 0)
            send_numbered(i);
}

static void wait_acknowledged(int count)
{
    int64_t end = now_ms(CLOCK_MONOTONIC) + 90000;

    while (campaign.acknowledged < count) {
        if (now_ms(CLOCK_MONOTONIC) > end)
            fail_msg("%d of %d acknowledged", campaign.acknowledged, count);
        poll_campaign(50);
    }
}

static void check_log(void)
{
    rd_kafka_t *reader = open_reader(campaign.topic, 1);
    rd_kafka_message_t *message;
    struct numbered value;
    int last[HANDLES_MAX] = {-1, -1, -1, -1}, found = 0;

    while ((message = next(reader, found < CAMPAIGN ? CALL_TIMEOUT_MS : 300))) {
        memcpy(&value, message->payload, sizeof value);
        rd_kafka_message_destroy(message);
        assert_true(value.number > last[value.handle]);
        last[value.handle] = value.number;
        assert_true(campaign.by[value.number] >= value.handle);
        found += campaign.by[value.number] == value.handle;
    }
    assert_int_equal(found, CAMPAIGN);
    rd_kafka_destroy(reader);
}

static void begin_campaign(const char *topic)
{
    memset(&campaign, 0, sizeof campaign);
    memset(campaign.by, -1, sizeof campaign.by);
    campaign.topic = topic;
    campaign.rk = open_producer_for(on_numbered, NULL);
    assert_int_equal(admin(campaign.rk, topic, 1), 0);
}

static void send_until(int count)
{
    while (campaign.sent < count) {
        send_numbered(campaign.sent++);
        poll_campaign(campaign.sent % 5 == 0 ? 1 : 0);
    }
}

static void a_killed_broker_loses_and_doubles_nothing(void **state)
{
    (void)state;
    begin_campaign("killed");
    send_until(2000);
    wait_acknowledged(1000); /* some are acknowledged, some are on their way */
    broker_kill(&broker);
    send_until(3000);
    broker_restart(&broker);
    send_until(CAMPAIGN);
    wait_acknowledged(CAMPAIGN);
    check_log();
    print_message("%d handles became unusable\n", campaign.handle);
    rd_kafka_destroy(campaign.rk);
}

static void a_handle_that_became_unusable_is_replaced_without_loss(void **state)
{
    (void)state;
    begin_campaign("replaced");
    send_until(3000);
    assert_int_equal(rd_kafka_test_fatal_error(
                         campaign.rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "by test"),
                     0);
    send_until(CAMPAIGN);
    wait_acknowledged(CAMPAIGN);
    assert_int_equal(campaign.handle, 1);
    check_log();
    rd_kafka_destroy(campaign.rk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_made_with_settings_and_only_by_request),
        cmocka_unit_test(records_keep_headers_partition_and_the_brokers_time),
        cmocka_unit_test(the_largest_record_passes),
        cmocka_unit_test(ends_are_told_and_seek_goes_back),
        cmocka_unit_test(a_static_member_rejoins_at_once),
        cmocka_unit_test(a_handle_that_became_unusable_is_replaced_without_loss),
        cmocka_unit_test(a_killed_broker_loses_and_doubles_nothing),
    };
    int failed;

    broker_start_or_skip(&broker);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    broker_stop(&broker);
    return failed;
}
