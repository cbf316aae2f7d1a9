/* lib/kafka's answers to a broker's errors, on librdkafka's mock broker: control flow and error
 * classes alone. What a broker guarantees is tested in tests/integration/test_bus_kafka.c. */
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "lib/kafka/bus.h"
#include "lib/kafka/gather.h"
#include "tests/unit/unit.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define PRODUCE 0 /* numbers of Kafka's requests */
#define LIST_OFFSETS 2
#define OFFSET_COMMIT 8
#define OFFSET_FETCH 9

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static struct err err;
static struct bus_config config;
static size_t good;
static struct err last;

static void on_delivery(void *owner, const struct delivery *delivery)
{
    (void)owner;
    good += delivery->err.code == ERR_NONE;
    last = delivery->err;
}

static int open_cluster(void **state)
{
    char text[200];

    (void)state;
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    cluster = rd_kafka_mock_cluster_new(host, 1);
    rd_kafka_mock_topic_create(cluster, "t", 1, 1);
    config = (struct bus_config){.brokers = rd_kafka_mock_cluster_bootstraps(cluster),
                                 .client_id = "unit",
                                 .prefix = "",
                                 .message_timeout_ms = 5000};
    good = 0;
    last = (struct err){0};
    return 0;
}

static int close_cluster(void **state)
{
    (void)state;
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
    return 0;
}

/* One record, to its delivery report. */
static void produce_one(void)
{
    int64_t until_ms = clock_mono_ms(&clock_system) + 15000;
    struct producer *producer;

    assert_ok(producer_open(&config, on_delivery, NULL, &producer, &err), err);
    assert_ok(producer_send(producer, "t", 0, SPAN_LIT("k"), NULL, 0, SPAN_LIT("v"), NULL, &err),
              err);
    while (good == 0 && last.code == ERR_NONE && clock_mono_ms(&clock_system) < until_ms)
        producer_poll(producer, 50);
    producer_close(producer);
}

static void a_retriable_error_is_mended_by_the_library(void **state)
{
    (void)state;
    rd_kafka_mock_push_request_errors(cluster, PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    produce_one();
    assert_int_equal(good, 1);
}

static void errors_have_their_class(void **state)
{
    static const struct {
        rd_kafka_resp_err_t given;
        enum err_code wanted;
    } rows[] = {
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ERR_TOO_LARGE},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERR_CONFIG},
        {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, ERR_BROKER},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        last = (struct err){0};
        rd_kafka_mock_clear_request_errors(cluster, PRODUCE);
        rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, rows[i].given);
        produce_one();
        if (last.code != rows[i].wanted)
            fail_msg("%s: %s expected, got %s: %s", rd_kafka_err2name(rows[i].given),
                     err_name(rows[i].wanted), err_name(last.code), last.message);
    }
}

static struct consumer *join(void)
{
    const char *topic = "t";
    int64_t until_ms = clock_mono_ms(&clock_system) + 15000;
    struct consumer *consumer;
    struct record record;
    int got = 0;

    produce_one();
    assert_ok(consumer_open(&config, "g", &topic, 1, NULL, &consumer, &err), err);
    while (got == 0 && clock_mono_ms(&clock_system) < until_ms)
        got = consumer_poll(consumer, 50, &record, &err);
    assert_int_equal(got, 1);
    record_done(&record);
    return consumer;
}

static void a_commit_refused_by_the_group_is_busy(void **state)
{
    struct partition_at mark = {"t", 0, 1};
    struct consumer *consumer = join();

    (void)state;
    rd_kafka_mock_push_request_errors(cluster, OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
    assert_err(consumer_commit(consumer, &mark, 1, &err), err, ERR_BUSY);
    rd_kafka_mock_clear_request_errors(cluster, OFFSET_COMMIT);
    rd_kafka_mock_push_request_errors(cluster, OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    assert_err(consumer_commit(consumer, &mark, 1, &err), err, ERR_CONFIG);
    assert_ok(consumer_commit(consumer, &mark, 0, &err), err);
    consumer_close(consumer);
}

static void a_setting_that_the_library_refuses_is_configuration(void **state)
{
    struct bus_config wrong = config;
    struct producer *producer;

    (void)state;
    wrong.linger_ms = -5;
    assert_err(producer_open(&wrong, on_delivery, NULL, &producer, &err), err, ERR_CONFIG);
    assert_non_null(strstr(err.message, "linger.ms"));
}

static void nobody_listens(void **state)
{
    struct bus_config away = config;
    const char *topic = "t";
    struct producer *producer;

    (void)state;
    away.brokers = "127.0.0.1:1";
    assert_ok(producer_open(&away, on_delivery, NULL, &producer, &err), err);
    assert_err(producer_warm(producer, &topic, 1, 300, &err), err, ERR_BROKER);
    assert_non_null(strstr(err.message, "127.0.0.1:1"));
    producer_close(producer);
}

/* librdkafka's own retries are used up by five; a broker that stays like that is still an
 * error. */
static void a_coordinator_that_moves_is_waited_for(void **state)
{
    (void)state;
    int64_t offset = 7;
    const rd_kafka_resp_err_t moving = RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
    rd_kafka_mock_push_request_errors(cluster, OFFSET_FETCH, 5, moving, moving, moving, moving,
                                      moving);
    assert_ok(bus_committed(&config, "g", "t", 1, &offset, 10000, &err), err);
    assert_int_equal(offset, -1);
}

static void a_coordinator_that_never_comes_is_an_error(void **state)
{
    (void)state;
    int64_t offset = 7;
    rd_kafka_resp_err_t moving[100];
    for (size_t i = 0; i < COUNT_OF(moving); i++)
        moving[i] = RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
    rd_kafka_mock_push_request_errors_array(cluster, OFFSET_FETCH, COUNT_OF(moving), moving);
    assert_int_equal(bus_committed(&config, "g", "t", 1, &offset, 500, &err), -1);
    assert_int_equal(err_class(err.code), ERR_SYSTEMIC);
    assert_int_equal(offset, 7);
}

/* The gateway's question, again and again on one handle. */
static void a_group_outlives_a_coordinator_that_moves(void **state)
{
    (void)state;
    struct group *group;
    int64_t offset = 7;
    rd_kafka_resp_err_t moving[20];
    for (size_t i = 0; i < COUNT_OF(moving); i++)
        moving[i] = RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
    assert_ok(group_open(&config, "g", &group, &err), err);
    rd_kafka_mock_push_request_errors_array(cluster, OFFSET_FETCH, COUNT_OF(moving), moving);
    assert_err(group_committed(group, "t", 1, &offset, 100, &err), err, ERR_BROKER);
    assert_int_equal(offset, 7);
    rd_kafka_mock_clear_request_errors(cluster, OFFSET_FETCH);
    assert_ok(group_committed(group, "t", 1, &offset, 10000, &err), err);
    assert_int_equal(offset, -1);
    group_close(group);
}

/* ---- gathering ---- */

static void rare_answers_are_taken_at_once(void **state)
{
    (void)state;
    struct gather gather = {.apart_ns = 25};
    for (int64_t now = 1000; now < 10000; now += 25)
        assert_int_equal(gather_wait_ns(&gather, now, 100), 0);
}

static void frequent_answers_come_apart(void **state)
{
    (void)state;
    struct gather gather = {.apart_ns = 25};
    int64_t now = 1000;
    for (int i = 0; i < 8; i++)
        assert_int_equal(gather_wait_ns(&gather, now, 100), 0);
    for (int i = 0; i < 100; i++)
        now += gather_wait_ns(&gather, now, 100);
    assert_int_equal(now, 1000 + 100 * 25);
    assert_int_equal(gather_wait_ns(&gather, now, 65536), 0); /* gathered already, */
    assert_int_equal(gather_wait_ns(&gather, now, 100), 25);  /* and it cost nothing */
    now += 25 + 3 * 25;
    for (int i = 0; i < 3; i++)
        assert_int_equal(gather_wait_ns(&gather, now, 100), 0);
    assert_int_equal(gather_wait_ns(&gather, now, 100), 25);
}

static void what_a_hurry_took_is_not_waited_for_later(void **state)
{
    (void)state;
    struct gather gather = {.apart_ns = 25};
    for (int i = 0; i < 1000; i++)
        (void)!gather_wait_ns(&gather, 1000, 100);
    assert_int_equal(gather_wait_ns(&gather, 1000, 100), 25);
    assert_int_equal(gather_wait_ns(&gather, 1000 + 9 * 25, 100), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)
    const struct CMUnitTest tests[] = {
        TEST(a_retriable_error_is_mended_by_the_library),
        TEST(errors_have_their_class),
        TEST(a_commit_refused_by_the_group_is_busy),
        TEST(a_setting_that_the_library_refuses_is_configuration),
        TEST(nobody_listens),
        TEST(a_coordinator_that_moves_is_waited_for),
        TEST(a_coordinator_that_never_comes_is_an_error),
        TEST(a_group_outlives_a_coordinator_that_moves),
        cmocka_unit_test(rare_answers_are_taken_at_once),
        cmocka_unit_test(frequent_answers_come_apart),
        cmocka_unit_test(what_a_hurry_took_is_not_waited_for_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
