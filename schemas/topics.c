/* The topic table as data, and the partition functions. Every producer sets the partition with
 * these; a client library's own partitioner is never used (delivery.md rule 4). */
#include "schemas/topics.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"

#define HOURS(n) ((n)*INT64_C(3600000))
#define DAYS(n) HOURS((n)*24)
#define KEEP_PAYLOAD (-1)
#define DELETE false
#define COMPACT true

static const struct topic_spec specs[TOPIC_COUNT] = {
#define TOPIC(id, text, parts, kept, cleanup, is_durable)                                          \
    [TOPIC_##id] = {                                                                               \
        .name = (text),                                                                            \
        .partitions = (parts),                                                                     \
        .retention_ms = (kept) == KEEP_PAYLOAD ? DAYS(RETENTION_CLASS_DEFAULT + 1) : (kept),       \
        .keep_payload = (kept) == KEEP_PAYLOAD,                                                    \
        .compact = (cleanup),                                                                      \
        .durable = (is_durable) != 0,                                                              \
    },
#include "schemas/topics.def"
#undef TOPIC
};

const struct topic_spec *topic_spec(enum topic topic)
{
    CHECK((unsigned)topic < TOPIC_COUNT);
    return &specs[topic];
}

int topic_find(struct span name, enum topic *out)
{
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        if (span_is(name, specs[i].name)) {
            *out = (enum topic)i;
            return 0;
        }
    }
    return -1;
}

int32_t partition_of_time(int64_t ms, int32_t partitions)
{
    CHECK(partitions > 0 && ms >= 0);
    return (int32_t)(ms / PARTITION_SLICE_MS % partitions);
}

int32_t partition_of_id(const struct uuid *id, int32_t partitions)
{
    return partition_of_time(uuid_ms(id), partitions);
}

int32_t partition_of_key(const uint8_t key_hash[32], int32_t partitions)
{
    CHECK(partitions > 0);
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | key_hash[i];
    return (int32_t)(value % (uint64_t)partitions);
}

int32_t partition_of_endpoint(const struct uuid *endpoint, int32_t partitions)
{
    uint8_t hash[SHA256_BYTES];
    sha256(span_of(endpoint->bytes, sizeof endpoint->bytes), hash);
    return partition_of_key(hash, partitions);
}
