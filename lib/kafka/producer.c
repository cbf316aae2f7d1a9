/* The producer: idempotent, acks=all, acknowledgements on the caller's loop.
 *
 * Every send is copied. Delivery reports are served by producer_poll alone, so on_delivery never
 * runs on a foreign thread. Never retries by itself beyond the library: a record whose report is an
 * error is the caller's. */
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "lib/kafka/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOPICS_MAX 64

struct producer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int fd;
    char prefix[BUS_NAME_MAX];
    delivery_fn *on_delivery;
    void *owner;
    int served; /* reports handed out by the present poll */
    size_t topic_count;
    struct {
        char name[BUS_NAME_MAX];
        rd_kafka_topic_t *topic;
    } topics[TOPICS_MAX];
    size_t probes_open;
    struct err probe_err;
    struct bus_reason reason;
};

static char probe_opaque; /* its address marks probe records */

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *producer = opaque;
    struct delivery delivery = {
        .opaque = message->_private, .partition = message->partition, .offset = message->offset};

    if (message->err)
        bus_fail(&delivery.err, rk, &producer->reason, message->err, "produce");
    if (message->_private == &probe_opaque) {
        producer->probes_open--;
        if (message->err)
            producer->probe_err = delivery.err;
        return;
    }
    producer->served++;
    producer->on_delivery(producer->owner, &delivery);
}

static void on_error(rd_kafka_t *rk, int code, const char *text, void *opaque)
{
    struct producer *producer = opaque;

    (void)rk;
    bus_reason_set(&producer->reason, code, text);
}

int producer_open(const struct bus_config *config, delivery_fn *on_delivery, void *owner,
                  struct producer **out, struct err *err)
{
    rd_kafka_conf_t *conf = bus_conf(config, err);
    struct producer *producer;

    if (!conf)
        return -1;
    producer = calloc(1, sizeof *producer);
    CHECK(producer != NULL);
    producer->fd = -1;
    producer->on_delivery = on_delivery;
    producer->owner = owner;
    snprintf(producer->prefix, sizeof producer->prefix, "%s", config->prefix ? config->prefix : "");
    bus_set(conf, "enable.idempotence", "true", err);
    bus_set(conf, "acks", "all", err);
    /* One request at a time: what comes meanwhile travels, and is made durable, together. The
     * broker takes a connection's requests one after the other anyway. */
    bus_set(conf, "max.in.flight.requests.per.connection", "1", err);
    bus_set_int(conf, "linger.ms", config->linger_ms, err);
    bus_set_int(conf, "message.timeout.ms",
                config->message_timeout_ms ? config->message_timeout_ms : 300000, err);
    bus_set(conf, "queue.buffering.max.kbytes", "131072", err);
    bus_set(conf, "batch.size", "1000000", err);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, producer);
    producer->rk = bus_handle(RD_KAFKA_PRODUCER, conf, err);
    if (producer->rk) {
        producer->queue = rd_kafka_queue_get_main(producer->rk);
        if (bus_wake_open(producer->queue, &producer->fd, err) == 0) {
            *out = producer;
            return 0;
        }
    }
    producer_close(producer);
    return -1;
}

void producer_close(struct producer *producer)
{
    if (!producer)
        return;
    for (size_t i = 0; i < producer->topic_count; i++)
        rd_kafka_topic_destroy(producer->topics[i].topic);
    if (producer->queue) {
        rd_kafka_queue_io_event_enable(producer->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(producer->queue);
    }
    if (producer->rk) {
        rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(producer->rk);
    }
    if (producer->fd >= 0)
        close(producer->fd);
    free(producer);
}

static rd_kafka_topic_t *find_topic(struct producer *producer, const char *name, struct err *err)
{
    char full[BUS_NAME_MAX];
    rd_kafka_topic_t *topic;
    size_t at = producer->topic_count;

    for (size_t i = 0; i < producer->topic_count; i++)
        if (strcmp(producer->topics[i].name, name) == 0)
            return producer->topics[i].topic;
    if (bus_topic_name(producer->prefix, name, full, err) < 0)
        return NULL;
    if (at == TOPICS_MAX) {
        err_set(err, ERR_BUG, "one producer writes to more than %d topics", TOPICS_MAX);
        return NULL;
    }
    topic = rd_kafka_topic_new(producer->rk, full, NULL);
    if (!topic) {
        bus_fail(err, producer->rk, &producer->reason, rd_kafka_last_error(), full);
        return NULL;
    }
    snprintf(producer->topics[at].name, sizeof producer->topics[at].name, "%s", name);
    producer->topics[at].topic = topic;
    producer->topic_count++;
    return topic;
}

/* A list of our own: with the library's, a missing partition frees it twice. */
static rd_kafka_headers_t *copy_headers(const struct bus_header *headers, size_t count)
{
    rd_kafka_headers_t *list = count ? rd_kafka_headers_new(count) : NULL;

    for (size_t i = 0; i < count; i++)
        rd_kafka_header_add(list, headers[i].name, -1, headers[i].value.data,
                            (ssize_t)headers[i].value.len);
    return list;
}

int producer_send(struct producer *producer, const char *topic, int32_t partition, struct span key,
                  const struct bus_header *headers, size_t header_count, struct span value,
                  void *opaque, struct err *err)
{
    rd_kafka_topic_t *handle = find_topic(producer, topic, err);
    rd_kafka_headers_t *list;
    rd_kafka_resp_err_t code;

    if (!handle)
        return -1;
    list = copy_headers(headers, header_count);
    code = rd_kafka_producev(
        producer->rk, RD_KAFKA_V_RKT(handle), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.len), /* copied, not changed */
        RD_KAFKA_V_KEY(key.data, key.len), RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_OPAQUE(opaque),
        RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    if (list)
        rd_kafka_headers_destroy(list);
    return bus_fail(err, producer->rk, &producer->reason, code, topic);
}

int producer_fd(struct producer *producer)
{
    return producer->fd;
}

int producer_poll(struct producer *producer, int timeout_ms)
{
    /* First the descriptor, then the queue: what comes in between makes it readable again. */
    bus_wake_drain(producer->fd);
    producer->served = 0;
    rd_kafka_poll(producer->rk, timeout_ms);
    return producer->served;
}

int producer_flush(struct producer *producer, int timeout_ms, struct err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_flush(producer->rk, timeout_ms);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return bus_fail(err, producer->rk, &producer->reason, code, "waiting for acknowledgements");
}

static int send_probe(struct producer *producer, const char *topic, struct err *err)
{
    static const struct bus_header type = {"type", SPAN_LIT(BUS_PROBE_TYPE)};

    if (producer_send(producer, topic, 0, SPAN_LIT("probe"), &type, 1, SPAN_LIT(""), &probe_opaque,
                      err) < 0)
        return err_wrap(err, "probe record");
    producer->probes_open++;
    return 0;
}

int producer_warm(struct producer *producer, const char *const *topics, size_t count,
                  int timeout_ms, struct err *err)
{
    int64_t until_ms = clock_mono_ms(&clock_system) + timeout_ms;

    producer->probe_err.code = ERR_NONE;
    for (size_t i = 0; i < count; i++)
        if (send_probe(producer, topics[i], err) < 0)
            return -1;
    while (producer->probes_open > 0) {
        int64_t left_ms = until_ms - clock_mono_ms(&clock_system);
        if (left_ms <= 0)
            return err_set(err, ERR_BROKER,
                           "%zu of %zu topics did not acknowledge a probe record within %d ms%s%s",
                           producer->probes_open, count, timeout_ms,
                           producer->reason.text[0] ? ": " : "", producer->reason.text);
        producer_poll(producer, (int)(left_ms < 100 ? left_ms : 100));
    }
    if (producer->probe_err.code == ERR_NONE)
        return 0;
    *err = producer->probe_err;
    return -1;
}

rd_kafka_t *producer_handle(struct producer *producer, const char **prefix,
                            const struct bus_reason **reason)
{
    *prefix = producer->prefix;
    *reason = &producer->reason;
    return producer->rk;
}
