/* Assignments of the group: decides where each partition begins, and calls the owner's hooks.
 *
 * Runs inside consumer_poll, on the caller's loop. An assignment that cannot be begun (the hook's
 * database or the group's coordinator is away) stays pending: the library waits in its join state,
 * heartbeats go on, and every further consumer_poll tries again. Never lets the library choose a
 * start by itself. */
#include "lib/base/strict.h"
#include "lib/kafka/internal.h"
#include <stdlib.h>

#define COMMITTED_TIMEOUT_MS 5000

static struct partition_at *to_parts(const struct consumer *consumer,
                                     const rd_kafka_topic_partition_list_t *list)
{
    struct partition_at *parts = calloc((size_t)list->cnt + 1, sizeof *parts);

    CHECK(parts != NULL);
    for (int i = 0; i < list->cnt; i++)
        parts[i] = (struct partition_at){list->elems[i].topic + consumer->prefix_len,
                                         list->elems[i].partition, BUS_COMMITTED};
    return parts;
}

static void drop(rd_kafka_topic_partition_list_t **list)
{
    if (*list)
        rd_kafka_topic_partition_list_destroy(*list);
    *list = NULL;
}

/* Fills the group's committed offsets into list; the earliest record where there is none. */
static int resolve_committed(struct consumer *consumer, rd_kafka_topic_partition_list_t *list,
                             struct err *err)
{
    rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_new(list->cnt);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].offset == BUS_COMMITTED)
            rd_kafka_topic_partition_list_add(asked, list->elems[i].topic,
                                              list->elems[i].partition);
    if (asked->cnt > 0)
        code = rd_kafka_committed(consumer->rk, asked, COMMITTED_TIMEOUT_MS);
    for (int i = 0; i < asked->cnt && !code; i++) {
        const rd_kafka_topic_partition_t *got = &asked->elems[i];
        code = got->err;
        rd_kafka_topic_partition_list_find(list, got->topic, got->partition)->offset =
            got->offset >= 0 ? got->offset : RD_KAFKA_OFFSET_BEGINNING;
    }
    drop(&asked);
    if (code)
        return bus_fail(err, consumer->rk, &consumer->reason, code, "reading committed offsets");
    return 0;
}

/* The library keeps a partition paused when it is taken away and given again, and whoever paused it
 * knows nothing of it any more: it would never be read. What was never paused here is no error. */
static void unpause(struct consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_copy(list);

    rd_kafka_resume_partitions(consumer->rk, all);
    drop(&all);
}

static int begin(struct consumer *consumer, rd_kafka_topic_partition_list_t *list, struct err *err)
{
    struct partition_at *parts = to_parts(consumer, list);
    int result = 0;

    if (consumer->hooks.on_assign)
        result = consumer->hooks.on_assign(consumer->hooks.owner, parts, (size_t)list->cnt, err);
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset =
            parts[i].offset == BUS_EARLIEST ? RD_KAFKA_OFFSET_BEGINNING : parts[i].offset;
    free(parts);
    if (result < 0)
        return err_wrap(err, "assignment of %d partitions", list->cnt);
    if (resolve_committed(consumer, list, err) < 0)
        return -1;
    unpause(consumer, list);
    rd_kafka_resp_err_t code = rd_kafka_assign(consumer->rk, list);
    if (code)
        return bus_fail(err, consumer->rk, &consumer->reason, code, "beginning an assignment");
    return 0;
}

int rebalance_begin(struct consumer *consumer, struct err *err)
{
    rd_kafka_topic_partition_list_t *list;

    if (!consumer->pending)
        return 0;
    list = rd_kafka_topic_partition_list_copy(consumer->pending);
    if (begin(consumer, list, err) < 0) {
        drop(&list);
        return -1;
    }
    drop(&consumer->pending);
    drop(&consumer->current);
    consumer->current = list;
    return 0;
}

static void revoke(struct consumer *consumer)
{
    drop(&consumer->pending);
    if (consumer->current && consumer->hooks.on_revoke && !consumer->closing) {
        struct partition_at *parts = to_parts(consumer, consumer->current);
        consumer->hooks.on_revoke(consumer->hooks.owner, parts, (size_t)consumer->current->cnt,
                                  rd_kafka_assignment_lost(consumer->rk));
        free(parts);
    }
    drop(&consumer->current);
    rd_kafka_assign(consumer->rk, NULL);
}

void rebalance_callback(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct consumer *consumer = opaque;

    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !consumer->closing) {
        drop(&consumer->pending);
        consumer->pending = rd_kafka_topic_partition_list_copy(parts);
        (void)(rebalance_begin(consumer, &consumer->failed) == 0); /* kept in `failed` */
        return;
    }
    revoke(consumer);
    if (code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS &&
        code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        bus_fail(&consumer->failed, consumer->rk, &consumer->reason, code, "rebalance");
}
