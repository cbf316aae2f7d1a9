/* Questions about offsets: begin and end of a topic, and what a group has committed.
 *
 * Asked on handles that do not consume: behind a parked fetch the same question takes up to
 * fetch.wait.max.ms. All partitions travel in one request. */
#include "lib/kafka/internal.h"
#include <stdlib.h>
#include <time.h>

#define COORDINATOR_RETRY_MS 100

static rd_kafka_topic_partition_list_t *all_of(const char *topic, int32_t partitions,
                                               int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);

    for (int32_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = offset;
    return list;
}

static int edge(struct producer *producer, const char *topic, int32_t partitions, int64_t which,
                int64_t *offsets, int timeout_ms, struct err *err)
{
    const struct bus_reason *reason;
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    char full[BUS_NAME_MAX];
    const char *prefix;
    rd_kafka_t *rk = producer_handle(producer, &prefix, &reason);

    if (bus_topic_name(prefix, topic, full, err) < 0)
        return -1;
    list = all_of(full, partitions, which);
    code = rd_kafka_offsets_for_times(rk, list, timeout_ms);
    for (int i = 0; i < list->cnt && !code; i++)
        code = list->elems[i].err;
    for (int i = 0; i < list->cnt && !code; i++)
        offsets[list->elems[i].partition] = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        return bus_fail(err, rk, reason, code, full);
    return 0;
}

int producer_end_offsets(struct producer *producer, const char *topic, int32_t partitions,
                         int64_t *ends, int timeout_ms, struct err *err)
{
    return edge(producer, topic, partitions, RD_KAFKA_OFFSET_END, ends, timeout_ms, err);
}

int producer_begin_offsets(struct producer *producer, const char *topic, int32_t partitions,
                           int64_t *begins, int timeout_ms, struct err *err)
{
    return edge(producer, topic, partitions, RD_KAFKA_OFFSET_BEGINNING, begins, timeout_ms, err);
}

static bool coordinator_moves(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
           code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE;
}

/* A broker that has just started says for a moment that it is not the group's coordinator. */
static rd_kafka_resp_err_t ask_committed(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                         int timeout_ms)
{
    rd_kafka_resp_err_t code;
    for (int left_ms = timeout_ms;; left_ms -= COORDINATOR_RETRY_MS) {
        code = rd_kafka_committed(rk, list, left_ms);
        for (int i = 0; i < list->cnt && !code; i++)
            code = list->elems[i].err;
        if (!coordinator_moves(code) || left_ms <= COORDINATOR_RETRY_MS)
            return code;
        nanosleep(&(struct timespec){.tv_nsec = COORDINATOR_RETRY_MS * 1000000L}, NULL);
    }
}

int bus_committed(const struct bus_config *config, const char *group, const char *topic,
                  int32_t partitions, int64_t *offsets, int timeout_ms, struct err *err)
{
    rd_kafka_conf_t *conf = bus_conf(config, err);
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    char full[BUS_NAME_MAX];
    rd_kafka_t *rk;

    if (!conf)
        return -1;
    bus_set(conf, "group.id", group, err); /* names the group; nothing joins it */
    rk = bus_handle(RD_KAFKA_CONSUMER, conf, err);
    if (!rk)
        return -1;
    if (bus_topic_name(config->prefix, topic, full, err) < 0) {
        rd_kafka_destroy(rk);
        return -1;
    }
    list = all_of(full, partitions, RD_KAFKA_OFFSET_INVALID);
    code = ask_committed(rk, list, timeout_ms);
    for (int i = 0; i < list->cnt && !code; i++)
        offsets[list->elems[i].partition] = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    if (code)
        bus_fail(err, rk, NULL, code, group);
    rd_kafka_destroy(rk);
    return code ? -1 : 0;
}

/* The answer of the one group asked for, into offsets. */
static int take_committed(rd_kafka_event_t *event, int64_t *offsets, int32_t partitions,
                          struct err *err, const char *group)
{
    const rd_kafka_ListConsumerGroupOffsets_result_t *result =
        event ? rd_kafka_event_ListConsumerGroupOffsets_result(event) : NULL;
    size_t count = 0;
    const rd_kafka_group_result_t **groups =
        result && !rd_kafka_event_error(event)
            ? rd_kafka_ListConsumerGroupOffsets_result_groups(result, &count)
            : NULL;
    if (!groups || count != 1 || rd_kafka_group_result_error(groups[0]))
        return err_set(err, ERR_BROKER, "committed offsets of group %s: %s", group,
                       event ? rd_kafka_event_error_string(event) : "no answer in time");
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].partition < partitions)
            offsets[list->elems[i].partition] =
                list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    return 0;
}

int producer_committed(struct producer *producer, const char *group, const char *topic,
                       int32_t partitions, int64_t *offsets, int timeout_ms, struct err *err)
{
    const struct bus_reason *reason;
    char full[BUS_NAME_MAX];
    const char *prefix;
    rd_kafka_t *rk = producer_handle(producer, &prefix, &reason);

    if (bus_topic_name(prefix, topic, full, err) < 0)
        return -1;
    for (int32_t p = 0; p < partitions; p++)
        offsets[p] = -1;
    rd_kafka_topic_partition_list_t *list = all_of(full, partitions, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char text[128];
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof(text));
    rd_kafka_ListConsumerGroupOffsets(rk, &ask, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    int result = take_committed(event, offsets, partitions, err, group);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}
