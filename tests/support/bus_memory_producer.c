/* The producer of the bus in memory. */
#include "lib/base/strict.h"
#include "tests/support/bus_memory_impl.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int producer_open(const struct bus_config *config, delivery_fn *on_delivery, void *owner,
                  struct producer **out, struct err *err)
{
    struct producer *producer = calloc(1, sizeof *producer);

    (void)config, (void)err;
    CHECK(producer != NULL);
    producer->on_delivery = on_delivery;
    producer->owner = owner;
    producer->last = &producer->first;
    producer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = producer;
    if (on_delivery) /* another one only asks for offsets */
        current_producer = producer;
    return 0;
}

void producer_close(struct producer *producer)
{
    if (!producer)
        return;
    while (producer->first) {
        struct report *report = producer->first;
        producer->first = report->next;
        free(report);
    }
    close(producer->fd);
    if (current_producer == producer)
        current_producer = NULL;
    free(producer);
}

int producer_send(struct producer *producer, const char *topic, int32_t partition, struct span key,
                  const struct bus_header *headers, size_t header_count, struct span value,
                  void *opaque, struct err *err)
{
    struct report *report = calloc(1, sizeof *report);
    enum topic which;

    CHECK(report != NULL && topic_find(span_text(topic), &which) == 0);
    if (value.len > RECORD_BYTES_MAX + 65536) {
        free(report);
        return err_set(err, ERR_TOO_LARGE, "the record is too large");
    }
    report->delivery = (struct delivery){.opaque = opaque, .partition = partition};
    if (fails(&deliveries, "delivery", &report->delivery.err) == 0)
        report->delivery.offset =
            bus_memory_append(which, partition, key, headers, header_count, value);
    *producer->last = report;
    producer->last = &report->next;
    wake(producer->fd);
    return 0;
}

int producer_fd(struct producer *producer)
{
    return producer->fd;
}

int producer_poll(struct producer *producer, int timeout_ms)
{
    int served = 0;

    (void)timeout_ms;
    calm(producer->fd);
    while (producer->first && !held) {
        struct report *report = producer->first;
        producer->first = report->next;
        if (!producer->first)
            producer->last = &producer->first;
        producer->on_delivery(producer->owner, &report->delivery);
        free(report);
        served++;
    }
    return served;
}

int producer_flush(struct producer *producer, int timeout_ms, struct err *err)
{
    (void)err;
    producer_poll(producer, timeout_ms);
    return 0;
}

int producer_end_offsets(struct producer *producer, const char *topic, int32_t partitions,
                         int64_t *ends, int timeout_ms, struct err *err)
{
    enum topic which;

    (void)producer, (void)timeout_ms, (void)err;
    CHECK(topic_find(span_text(topic), &which) == 0);
    for (int32_t p = 0; p < partitions; p++)
        ends[p] = (int64_t)logs[which][p].count;
    return 0;
}

int producer_offsets_at(struct producer *producer, const char *topic, int32_t partitions,
                        int64_t time_ms, int64_t *offsets, int timeout_ms, struct err *err)
{
    enum topic which;

    (void)producer, (void)timeout_ms, (void)err;
    CHECK(topic_find(span_text(topic), &which) == 0);
    for (int32_t p = 0; p < partitions; p++) {
        offsets[p] = -1;
        for (size_t i = logs[which][p].count; i-- > 0;)
            if (logs[which][p].records[i]->rec.timestamp_ms >= time_ms)
                offsets[p] = (int64_t)i;
    }
    return 0;
}

int producer_begin_offsets(struct producer *producer, const char *topic, int32_t partitions,
                           int64_t *begins, int timeout_ms, struct err *err)
{
    (void)producer, (void)topic, (void)timeout_ms, (void)err;
    memset(begins, 0, (size_t)partitions * sizeof *begins);
    return 0;
}

int producer_warm(struct producer *producer, const char *const *topics, size_t count,
                  int timeout_ms, struct err *err)
{
    static const struct bus_header type = {"type", SPAN_LIT(BUS_PROBE_TYPE)};
    enum topic which;

    (void)producer, (void)timeout_ms, (void)err;
    for (size_t i = 0; i < count; i++) {
        CHECK(topic_find(span_text(topics[i]), &which) == 0);
        bus_memory_append(which, 0, SPAN_LIT("probe"), &type, 1, SPAN_LIT(""));
    }
    return 0;
}
