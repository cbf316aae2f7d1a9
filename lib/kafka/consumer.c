/* The group consumer and the tail: poll, pause, resume, seek, commit.
 *
 * Offsets are committed by hand alone, and an offset outside of the log is an error, never a silent
 * reset. Uses rd_kafka_consumer_poll: the library's batch call has offset bugs around pause, resume
 * and rebalance. The descriptor tells of new work once: poll until there is nothing left. */
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "lib/kafka/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEEK_TIMEOUT_MS 5000
#define COMMIT_TIMEOUT_MS 3000

static void on_error(rd_kafka_t *rk, int code, const char *text, void *opaque)
{
    struct consumer *consumer = opaque;

    bus_reason_set(&consumer->reason, code, text);
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        bus_fail(&consumer->failed, rk, NULL, code, "consumer");
}

static void configure(rd_kafka_conf_t *conf, const struct bus_config *config, const char *group,
                      struct err *err)
{
    bus_set(conf, "group.id", group, err);
    bus_set(conf, "partition.assignment.strategy", "range,roundrobin", err);
    bus_set(conf, "session.timeout.ms", "10000", err);
    bus_set(conf, "heartbeat.interval.ms", "1000", err);
    bus_set(conf, "enable.auto.commit", "false", err);
    bus_set(conf, "enable.auto.offset.store", "false", err);
    bus_set(conf, "auto.offset.reset", "error", err);
    bus_set(conf, "allow.auto.create.topics", "false", err);
    bus_set(conf, "check.crcs", "true", err);
    bus_set(conf, "fetch.error.backoff.ms", "50", err);
    bus_set_int(conf, "fetch.min.bytes", config->fetch_min_bytes ? config->fetch_min_bytes : 1,
                err);
    bus_set_int(conf, "fetch.wait.max.ms",
                config->fetch_wait_max_ms ? config->fetch_wait_max_ms : 20, err);
    if (config->queued_max_kbytes)
        bus_set_int(conf, "queued.max.messages.kbytes", config->queued_max_kbytes, err);
}

static int start(struct consumer *consumer, const struct bus_config *config, rd_kafka_conf_t *conf,
                 struct err *err)
{
    gather_enable(&consumer->gather, conf, config->gather_ms, err);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_rebalance_cb(conf, rebalance_callback);
    rd_kafka_conf_set_opaque(conf, consumer);
    consumer->rk = bus_handle(RD_KAFKA_CONSUMER, conf, err);
    if (!consumer->rk)
        return -1;
    rd_kafka_poll_set_consumer(consumer->rk);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
    return bus_wake_open(consumer->queue, &consumer->fd, err);
}

static struct consumer *new_consumer(const struct bus_config *config)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);

    CHECK(consumer != NULL);
    consumer->fd = -1;
    gather_init(&consumer->gather);
    snprintf(consumer->prefix, sizeof consumer->prefix, "%s", config->prefix ? config->prefix : "");
    consumer->prefix_len = strlen(consumer->prefix);
    return consumer;
}

static int subscribe(struct consumer *consumer, const char *const *topics, size_t count,
                     struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    char name[BUS_NAME_MAX];
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++) {
        result = bus_topic_name(consumer->prefix, topics[i], name, err);
        rd_kafka_topic_partition_list_add(list, name, RD_KAFKA_PARTITION_UA);
    }
    if (result == 0)
        code = rd_kafka_subscribe(consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return bus_fail(err, consumer->rk, &consumer->reason, code, "subscribe");
    return result;
}

int consumer_open(const struct bus_config *config, const char *group, const char *const *topics,
                  size_t topic_count, const struct consumer_hooks *hooks, struct consumer **out,
                  struct err *err)
{
    rd_kafka_conf_t *conf = bus_conf(config, err);
    struct consumer *consumer;

    if (!conf)
        return -1;
    consumer = new_consumer(config);
    if (hooks)
        consumer->hooks = *hooks;
    configure(conf, config, group, err);
    if (config->client_id && config->client_id[0])
        bus_set(conf, "group.instance.id", config->client_id, err);
    if (start(consumer, config, conf, err) == 0 &&
        subscribe(consumer, topics, topic_count, err) == 0) {
        *out = consumer;
        return 0;
    }
    consumer_close(consumer);
    return -1;
}

/* The list that parts say; offsets of -1 and -2 mean the earliest record. */
static int to_list(const struct consumer *consumer, const struct partition_at *parts, size_t count,
                   rd_kafka_topic_partition_list_t **out, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    char name[BUS_NAME_MAX];

    for (size_t i = 0; i < count; i++) {
        if (bus_topic_name(consumer->prefix, parts[i].topic, name, err) < 0) {
            rd_kafka_topic_partition_list_destroy(list);
            return -1;
        }
        rd_kafka_topic_partition_list_add(list, name, parts[i].partition)->offset =
            parts[i].offset < 0 ? RD_KAFKA_OFFSET_BEGINNING : parts[i].offset;
    }
    *out = list;
    return 0;
}

int tail_open(const struct bus_config *config, const struct partition_at *parts, size_t count,
              struct consumer **out, struct err *err)
{
    rd_kafka_conf_t *conf = bus_conf(config, err);
    rd_kafka_topic_partition_list_t *list = NULL;
    struct consumer *consumer;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__INVALID_ARG;

    if (!conf)
        return -1;
    consumer = new_consumer(config);
    configure(conf, config, "rustbox.tail", err); /* assigned by hand: the group is never joined */
    if (start(consumer, config, conf, err) == 0 &&
        to_list(consumer, parts, count, &list, err) == 0) {
        code = rd_kafka_assign(consumer->rk, list);
        consumer->current = list;
        if (code)
            bus_fail(err, consumer->rk, &consumer->reason, code, "beginning a tail");
    }
    if (code) {
        consumer_close(consumer);
        return -1;
    }
    *out = consumer;
    return 0;
}

static void drop_answers(struct consumer *consumer)
{
    if (consumer->answers)
        rd_kafka_queue_destroy(consumer->answers);
    consumer->answers = NULL;
}

void consumer_close(struct consumer *consumer)
{
    if (!consumer)
        return;
    consumer->closing = true;
    if (consumer->queue) {
        rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(consumer->queue);
    }
    drop_answers(consumer);
    gather_hurry(&consumer->gather, true);
    if (consumer->rk) {
        rd_kafka_consumer_close(consumer->rk);
        rd_kafka_destroy(consumer->rk);
    }
    if (consumer->pending)
        rd_kafka_topic_partition_list_destroy(consumer->pending);
    if (consumer->current)
        rd_kafka_topic_partition_list_destroy(consumer->current);
    if (consumer->fd >= 0)
        close(consumer->fd);
    gather_done(&consumer->gather);
    free(consumer);
}

void consumer_hurry(struct consumer *consumer, bool hurry)
{
    gather_hurry(&consumer->gather, hurry);
}

int consumer_fd(struct consumer *consumer)
{
    return consumer->fd;
}

static void read_headers(const rd_kafka_message_t *message, struct record *out)
{
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t size;

    out->header_count = 0;
    if (rd_kafka_message_headers(message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    while (rd_kafka_header_get_all(list, out->header_count, &name, &value, &size) ==
           RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (out->header_count == BUS_HEADERS_MAX) {
            out->header_count = BUS_HEADERS_MAX + 1;
            return;
        }
        out->headers[out->header_count++] = (struct bus_header){name, {value, size}};
    }
}

static void read_record(const struct consumer *consumer, rd_kafka_message_t *message,
                        struct record *out)
{
    out->topic = rd_kafka_topic_name(message->rkt) + consumer->prefix_len;
    out->partition = message->partition;
    out->offset = message->offset;
    out->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    out->key = span_of(message->key, message->key_len);
    out->value = span_of(message->payload, message->len);
    read_headers(message, out);
    out->handle = message;
}

/* What the library reports in place of a record; it mends lost connections by itself. */
static int event_error(struct consumer *consumer, const rd_kafka_message_t *message,
                       struct err *err)
{
    char what[BUS_NAME_MAX + 200];

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
        message->err == RD_KAFKA_RESP_ERR__TRANSPORT ||
        message->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
        message->err == RD_KAFKA_RESP_ERR__RESOLVE)
        return 0;
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return err_set(err, ERR_CONFIG,
                       "%s [%d]: the offset to begin at, %lld, is outside of the log (%.120s): the "
                       "log lost records or was replaced. Nothing was skipped; compare with "
                       "`rustbox balance`, then set the offset on purpose",
                       message->rkt ? rd_kafka_topic_name(message->rkt) : "?", message->partition,
                       (long long)message->offset, rd_kafka_message_errstr(message));
    snprintf(what, sizeof what, "reading %s [%d]",
             message->rkt ? rd_kafka_topic_name(message->rkt) : "topics", message->partition);
    return bus_fail(err, consumer->rk, &consumer->reason, message->err, what);
}

static rd_kafka_message_t *next_message(struct consumer *consumer, int timeout_ms)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->rk, timeout_ms);

    if (message)
        return message;
    /* Empty: silence the descriptor, then look once more for what came in between. */
    bus_wake_drain(consumer->fd);
    return rd_kafka_consumer_poll(consumer->rk, 0);
}

int consumer_poll(struct consumer *consumer, int timeout_ms, struct record *out, struct err *err)
{
    rd_kafka_message_t *message;
    int result;

    if (rebalance_begin(consumer, err) < 0) {
        message = rd_kafka_consumer_poll(consumer->rk, 0); /* a revocation must still be seen */
        if (message)
            rd_kafka_message_destroy(message);
        return -1;
    }
    message = next_message(consumer, timeout_ms);
    if (consumer->failed.code != ERR_NONE) {
        *err = consumer->failed;
        consumer->failed.code = ERR_NONE;
        CHECK(!message || message->err); /* an assignment that failed has no records */
        if (message)
            rd_kafka_message_destroy(message);
        return -1;
    }
    if (!message)
        return 0;
    if (!message->err) {
        read_record(consumer, message, out);
        return 1;
    }
    result = event_error(consumer, message, err);
    rd_kafka_message_destroy(message);
    return result;
}

void record_done(struct record *record)
{
    if (record->handle)
        rd_kafka_message_destroy(record->handle);
    record->handle = NULL;
}

bool record_is_probe(const struct record *record)
{
    for (size_t i = 0; i < record->header_count && i < BUS_HEADERS_MAX; i++)
        if (strcmp(record->headers[i].name, "type") == 0)
            return span_is(record->headers[i].value, BUS_PROBE_TYPE);
    return false;
}

/* The named partition, or the whole assignment when topic is NULL. */
static int some(struct consumer *consumer, const char *topic, int32_t partition,
                rd_kafka_topic_partition_list_t **out, struct err *err)
{
    struct partition_at part = {topic, partition, BUS_EARLIEST};

    if (topic)
        return to_list(consumer, &part, 1, out, err);
    *out = consumer->current ? rd_kafka_topic_partition_list_copy(consumer->current)
                             : rd_kafka_topic_partition_list_new(0);
    return 0;
}

static int pause_or_resume(struct consumer *consumer, const char *topic, int32_t partition,
                           bool pause, struct err *err)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;

    if (some(consumer, topic, partition, &list, err) < 0)
        return -1;
    code = pause ? rd_kafka_pause_partitions(consumer->rk, list)
                 : rd_kafka_resume_partitions(consumer->rk, list);
    for (int i = 0; i < list->cnt && !code; i++)
        code = list->elems[i].err;
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return bus_fail(err, consumer->rk, &consumer->reason, code, pause ? "pause" : "resume");
    return 0;
}

int consumer_pause(struct consumer *consumer, const char *topic, int32_t partition, struct err *err)
{
    return pause_or_resume(consumer, topic, partition, true, err);
}

int consumer_resume(struct consumer *consumer, const char *topic, int32_t partition,
                    struct err *err)
{
    return pause_or_resume(consumer, topic, partition, false, err);
}

static rd_kafka_resp_err_t seek_once(struct consumer *consumer,
                                     rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_error_t *failed = rd_kafka_seek_partitions(consumer->rk, list, SEEK_TIMEOUT_MS);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    if (failed) {
        code = rd_kafka_error_code(failed);
        rd_kafka_error_destroy(failed);
        return code;
    }
    for (int i = 0; i < list->cnt && !code; i++)
        code = list->elems[i].err;
    return code;
}

/* librdkafka 2.0.2 takes the milliseconds of rd_kafka_seek_partitions as microseconds: on a busy
 * machine it gives up after 5 ms on a seek that is still being done. Asking again is harmless: the
 * last seek counts, and all go to the same place. */
int consumer_seek(struct consumer *consumer, const struct partition_at *to, size_t count,
                  struct err *err)
{
    int64_t until_ms = clock_mono_ms(&clock_system) + SEEK_TIMEOUT_MS;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;

    if (to_list(consumer, to, count, &list, err) < 0)
        return -1;
    do
        code = seek_once(consumer, list);
    while (code == RD_KAFKA_RESP_ERR__TIMED_OUT && clock_mono_ms(&clock_system) < until_ms);
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return bus_fail(err, consumer->rk, &consumer->reason, code, "seek");
    return 0;
}

int consumer_commit_start(struct consumer *consumer, const struct partition_at *next, size_t count,
                          struct err *err)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;

    drop_answers(consumer);
    if (to_list(consumer, next, count, &list, err) < 0)
        return -1;
    consumer->answers = rd_kafka_queue_new(consumer->rk);
    consumer->answer_until_ms = clock_mono_ms(&clock_system) + COMMIT_TIMEOUT_MS;
    code = rd_kafka_commit_queue(consumer->rk, list, consumer->answers, NULL, NULL);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code)
        return 0;
    drop_answers(consumer);
    return bus_fail(err, consumer->rk, &consumer->reason, code, "committing offsets");
}

static int take_answer(struct consumer *consumer, int timeout_ms, struct err *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(consumer->answers, timeout_ms);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

    if (!event && clock_mono_ms(&clock_system) < consumer->answer_until_ms)
        return 0;
    if (event) {
        code = rd_kafka_event_error(event);
        rd_kafka_event_destroy(event);
    }
    drop_answers(consumer);
    if (code)
        return bus_fail(err, consumer->rk, &consumer->reason, code, "committing offsets");
    return 1;
}

int consumer_commit_answer(struct consumer *consumer, struct err *err)
{
    return consumer->answers ? take_answer(consumer, 0, err) : 1;
}

int consumer_commit(struct consumer *consumer, const struct partition_at *next, size_t count,
                    struct err *err)
{
    int answer = 0;

    if (count == 0)
        return 0;
    if (consumer_commit_start(consumer, next, count, err) < 0)
        return -1;
    while (answer == 0)
        answer = take_answer(consumer, COMMIT_TIMEOUT_MS, err);
    return answer < 0 ? -1 : 0;
}
