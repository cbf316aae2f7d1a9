/* See verdictlog.h. */
#include "producers/gateway/verdictlog.h"

void verdictlog_init(struct verdictlog *log, size_t keep_bytes, size_t max_bytes, int64_t keep_ms)
{
    *log =
        (struct verdictlog){.keep_bytes = keep_bytes, .max_bytes = max_bytes, .keep_ms = keep_ms};
}

struct verdict_seen *verdict_ref(struct verdict_seen *seen)
{
    if (seen)
        seen->refs++;
    return seen;
}

void verdict_unref(struct verdict_seen *seen)
{
    if (seen && --seen->refs == 0) {
        free(seen->value);
        free(seen);
    }
}

static size_t cost(const struct verdict_seen *seen)
{
    return sizeof(*seen) + 64 + (seen->value ? seen->len : 0);
}

static void drop_first(struct verdictlog *log, int32_t partition)
{
    struct verdict_seen *seen = log->part[partition].first;
    log->part[partition].first = seen->next;
    if (!seen->next)
        log->part[partition].last = NULL;
    log->part[partition].begin = seen->offset + 1;
    log->part[partition].begin_ms = seen->timestamp_ms;
    log->bytes -= cost(seen);
    table_remove(&log->ids, &seen->by_id);
    verdict_unref(seen);
}

void verdictlog_done(struct verdictlog *log)
{
    for (int32_t p = 0; p < SUBLOG_PARTITIONS; p++)
        while (log->part[p].first)
            drop_first(log, p);
    free(log->ids.buckets);
    *log = (struct verdictlog){0};
}

struct verdict_seen *verdictlog_add(struct verdictlog *log, const struct envelope *env,
                                    struct span value, int32_t partition, int64_t offset,
                                    int64_t timestamp_ms, int64_t mono_ms)
{
    if (verdictlog_find(log, &env->id))
        return NULL;
    struct verdict_seen *seen = calloc(1, sizeof(*seen));
    CHECK(seen);
    *seen = (struct verdict_seen){.id = env->id,
                                  .project = env->project,
                                  .key = {.project = env->project,
                                          .retention_class = env->retention_class,
                                          .day = uuid_day(&env->id),
                                          .number = env->key_number},
                                  .offset = offset,
                                  .timestamp_ms = timestamp_ms,
                                  .arrived_ms = mono_ms,
                                  .partition = partition,
                                  .refs = 1,
                                  .len = value.len};
    if (log->bytes + value.len <= log->max_bytes && (seen->value = malloc(value.len + 1)))
        memcpy(seen->value, value.data, value.len);
    log->bytes += cost(seen);
    table_add(&log->ids, &seen->by_id, table_hash(seen->id.bytes));
    if (log->part[partition].last)
        log->part[partition].last->next = seen;
    else
        log->part[partition].first = seen;
    log->part[partition].last = seen;
    if (!log->part[partition].unstored)
        log->part[partition].unstored = seen;
    return seen;
}

void verdictlog_forget(struct verdictlog *log, int32_t partition, int64_t persisted,
                       int64_t mono_ms,
                       void (*stored)(void *owner, const struct verdict_seen *seen), void *owner)
{
    struct verdict_seen *at = log->part[partition].unstored;
    for (; at && at->offset < persisted; at = at->next) {
        at->stored = true;
        stored(owner, at);
    }
    log->part[partition].unstored = at;
    if (log->part[partition].persisted < persisted)
        log->part[partition].persisted = persisted;
    while (log->part[partition].first && log->part[partition].first->stored &&
           (log->bytes > log->keep_bytes ||
            mono_ms - log->part[partition].first->arrived_ms > log->keep_ms))
        drop_first(log, partition);
}

void verdictlog_restart(struct verdictlog *log, int32_t partition, int64_t begin, int64_t begin_ms,
                        void (*stored)(void *owner, const struct verdict_seen *seen), void *owner)
{
    while (log->part[partition].first) {
        if (!log->part[partition].first->stored && stored)
            stored(owner, log->part[partition].first);
        drop_first(log, partition);
    }
    log->part[partition].unstored = NULL;
    log->part[partition].begin = log->part[partition].persisted = begin;
    log->part[partition].begin_ms = begin_ms;
}

struct verdict_seen *verdictlog_find(const struct verdictlog *log, const struct uuid *id)
{
    for (struct node *node = table_first(&log->ids, table_hash(id->bytes)); node;
         node = table_next(node)) {
        struct verdict_seen *seen = OWNER_OF(node, struct verdict_seen, by_id);
        if (uuid_eq(&seen->id, id))
            return seen;
    }
    return NULL;
}

bool verdictlog_complete_for(const struct verdictlog *log, const struct uuid *id,
                             int64_t submitted_broker_ms)
{
    int32_t partition = partition_of_id(id, SUBLOG_PARTITIONS);
    return log->part[partition].begin == 0 || submitted_broker_ms > log->part[partition].begin_ms;
}
