/* What the files of lib/kafka share; nobody else includes it. */
#pragma once
#include "lib/kafka/bus.h"
#include "lib/kafka/gather.h"
#include <librdkafka/rdkafka.h>

#define BUS_NAME_MAX 250          /* Kafka's limit for topic names is 249 */
#define BUS_MESSAGE_BYTES 4325376 /* a value of 4 MiB, its headers and the batch around it */

/* The reason of the last error that the library reported, for our messages. */
struct bus_reason {
    char text[200];
};

/* A conf with everything that all handles share; NULL and err on failure. */
rd_kafka_conf_t *bus_conf(const struct bus_config *config, struct err *err);
/* Sets one property; does nothing when err already holds an error. */
void bus_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err);
void bus_set_int(rd_kafka_conf_t *conf, const char *name, int value, struct err *err);
/* Creates the handle; takes conf in every case. */
rd_kafka_t *bus_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *err);
/* prefix + topic; an error when it is too long. */
int bus_topic_name(const char *prefix, const char *topic, char out[BUS_NAME_MAX], struct err *err);
/* The class of a library error, for messages that say more than bus_fail. */
enum err_code bus_code(rd_kafka_resp_err_t code);
/* "what: library's text (last reason)". A fatal error of the handle wins over code. */
int bus_fail(struct err *err, rd_kafka_t *rk, const struct bus_reason *reason,
             rd_kafka_resp_err_t code, const char *what);
void bus_reason_set(struct bus_reason *reason, rd_kafka_resp_err_t code, const char *text);
/* An eventfd that queue makes readable. */
int bus_wake_open(rd_kafka_queue_t *queue, int *fd, struct err *err);
void bus_wake_drain(int fd);

/* gather.c; gather must outlive the handle that is made of conf; 0 = gathers never. */
void gather_enable(struct gather *gather, rd_kafka_conf_t *conf, int apart_ms, struct err *err);

/* consumer.c and rebalance.c */
struct consumer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int fd;
    size_t prefix_len;
    char prefix[BUS_NAME_MAX];
    struct consumer_hooks hooks;
    rd_kafka_topic_partition_list_t *pending; /* assigned by the group, not yet begun */
    rd_kafka_topic_partition_list_t *current; /* begun */
    rd_kafka_queue_t *answers;                /* of the commit that is open; NULL = none is */
    int64_t answer_until_ms;
    bool closing;
    struct gather gather;
    struct err failed; /* of a callback; returned by the poll that ran it */
    struct bus_reason reason;
};
void rebalance_callback(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *parts, void *opaque);
/* Tries to begin a pending assignment. */
int rebalance_begin(struct consumer *consumer, struct err *err);
/* producer.c, for offsets.c */
rd_kafka_t *producer_handle(struct producer *producer, const char **prefix,
                            const struct bus_reason **reason);
