/* Deleting what a topic holds up to given offsets (bus.h), for `rustbox dead purge` alone. */
#include "lib/kafka/internal.h"
#include <stdio.h>

int bus_topic_purge(const struct bus_config *config, const char *topic, const int64_t *ends,
                    int32_t partitions, int timeout_ms, struct err *err)
{
    char name[BUS_NAME_MAX], text[200];
    rd_kafka_conf_t *conf = bus_conf(config, err);
    rd_kafka_t *rk = conf ? bus_handle(RD_KAFKA_PRODUCER, conf, err) : NULL;
    if (!rk || bus_topic_name(config->prefix, topic, name, err)) {
        if (rk)
            rd_kafka_destroy(rk);
        return -1;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, name, p)->offset = ends[p];
    rd_kafka_DeleteRecords_t *purge = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_DeleteRecords(rk, &purge, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 500);
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!code) {
        const rd_kafka_topic_partition_list_t *done =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
        for (int i = 0; i < done->cnt && !code; i++)
            code = done->elems[i].err;
    }
    int rc = code ? bus_fail(err, rk, NULL, code, "deleting records") : 0;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_DeleteRecords_destroy(purge);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return rc;
}
