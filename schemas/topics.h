/* The topic table and the one function that chooses a partition (delivery.md rule 4). */
#pragma once
#include "lib/base/uuid.h"

enum topic {
#define TOPIC(name, ...) TOPIC_##name,
#include "schemas/topics.def"
#undef TOPIC
    TOPIC_COUNT
};

/* Consumer groups: part of the contract, as committed offsets live under them. */
#define GROUP_ADMIT "rustbox.admit"
#define GROUP_EXECUTE "rustbox.execute"
#define GROUP_PERSIST "rustbox.persist"
#define GROUP_DELIVER "rustbox.deliver"

#define RECORD_BYTES_MAX (4 * 1024 * 1024)
#define RETENTION_CLASS_DEFAULT 30 /* days; classes are 7, 30, 90, 365 */

struct topic_spec {
    const char *name; /* without the prefix */
    int32_t partitions;
    int64_t retention_ms; /* with KEEP_PAYLOAD resolved for RETENTION_CLASS_DEFAULT */
    bool keep_payload;    /* retention follows the longest class in use + 1 day */
    bool compact;
    bool durable;
};

const struct topic_spec *topic_spec(enum topic topic);
/* By full name with the configured prefix removed; -1 when unknown. */
int topic_find(struct span name, enum topic *out) __attribute__((warn_unused_result));
#define PARTITION_SLICE_MS 16
/* (milliseconds / 16) mod partitions: records of the same 16 ms share a batch. Webhooks and their
 * attempts go by the time they are written at: whoever reads them needs no order. */
int32_t partition_of_time(int64_t ms, int32_t partitions);
int32_t partition_of_id(const struct uuid *id, int32_t partitions); /* by its milliseconds */
/* For keyed records in `submissions`: first 8 bytes (big endian) of the key hash mod partitions. */
int32_t partition_of_key(const uint8_t key_hash[32], int32_t partitions);
/* Endpoints, dead webhooks: first 8 bytes (big endian) of SHA-256(the id's 16 bytes) mod
 * partitions, so that endpoints made together spread. */
int32_t partition_of_endpoint(const struct uuid *endpoint, int32_t partitions);
