/* Questions about offsets: begin and end of a topic, and what a group has committed.
 *
 * Asked on handles that do not consume: behind a parked fetch the same question takes up to
 * fetch.wait.max.ms. All partitions travel in one request. */
#include "lib/base/strict.h"
#include "lib/kafka/internal.h"
#include <stdio.h>
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

int producer_offsets_at(struct producer *producer, const char *topic, int32_t partitions,
                        int64_t time_ms, int64_t *offsets, int timeout_ms, struct err *err)
{
    return edge(producer, topic, partitions, time_ms > 0 ? time_ms : 0, offsets, timeout_ms, err);
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

/* A consumer handle that never joins. The library's admin request for the same is not used: on a
 * handle without a group, 2.0.2 dereferences NULL when the broker says NOT_COORDINATOR, as one
 * that has just started does. */
struct group {
    rd_kafka_t *rk;
    char prefix[BUS_NAME_MAX];
    char name[BUS_NAME_MAX];
};

int group_open(const struct bus_config *config, const char *name, struct group **out,
               struct err *err)
{
    rd_kafka_conf_t *conf = bus_conf(config, err);

    if (!conf)
        return -1;
    bus_set(conf, "group.id", name, err);
    rd_kafka_t *rk = bus_handle(RD_KAFKA_CONSUMER, conf, err);
    if (!rk)
        return -1;
    struct group *group = calloc(1, sizeof *group);
    CHECK(group != NULL);
    group->rk = rk;
    snprintf(group->prefix, sizeof group->prefix, "%s", config->prefix ? config->prefix : "");
    snprintf(group->name, sizeof group->name, "%s", name);
    *out = group;
    return 0;
}

void group_close(struct group *group)
{
    if (!group)
        return;
    rd_kafka_destroy(group->rk);
    free(group);
}

int group_committed(struct group *group, const char *topic, int32_t partitions, int64_t *offsets,
                    int timeout_ms, struct err *err)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    char full[BUS_NAME_MAX];

    if (bus_topic_name(group->prefix, topic, full, err) < 0)
        return -1;
    list = all_of(full, partitions, RD_KAFKA_OFFSET_INVALID);
    code = ask_committed(group->rk, list, timeout_ms);
    for (int i = 0; i < list->cnt && !code; i++)
        offsets[list->elems[i].partition] = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return code ? bus_fail(err, group->rk, NULL, code, group->name) : 0;
}

int bus_committed(const struct bus_config *config, const char *group, const char *topic,
                  int32_t partitions, int64_t *offsets, int timeout_ms, struct err *err)
{
    struct group *handle;

    if (group_open(config, group, &handle, err) < 0)
        return -1;
    int result = group_committed(handle, topic, partitions, offsets, timeout_ms, err);
    group_close(handle);
    return result;
}
