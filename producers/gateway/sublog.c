/* See sublog.h. */
#include "producers/gateway/sublog.h"

void sublog_init(struct sublog *log, size_t old_max)
{
    *log = (struct sublog){.old_max = old_max};
}

static void drop(struct sublog *log, struct sub *sub)
{
    table_remove(&log->ids, &sub->by_id);
    if (sub->in_key)
        table_remove(&log->keys, &sub->by_key);
    free(sub);
}

void sublog_done(struct sublog *log)
{
    for (int32_t p = 0; p < SUBLOG_PARTITIONS; p++)
        sublog_restart(log, p, 0, NULL, NULL);
    while (log->old_first) {
        struct sub *sub = log->old_first;
        log->old_first = sub->next;
        drop(log, sub);
    }
    free(log->ids.buckets);
    free(log->keys.buckets);
    *log = (struct sublog){0};
}

static uint64_t key_table_hash(const uint8_t key_hash[32])
{
    return table_hash(key_hash + 8);
}

struct sub *sublog_add(struct sublog *log, const struct envelope *env, int32_t partition,
                       int64_t offset, int64_t timestamp_ms, bool may_own)
{
    struct sub *sub = calloc(1, sizeof(*sub));
    CHECK(sub);
    sub->id = env->id;
    sub->project = env->project;
    sub->offset = offset;
    sub->timestamp_ms = timestamp_ms;
    sub->received_ns = env->times.received;
    sub->partition = partition;
    sub->language = env->language;
    sub->live = true;
    sub->in_key = env->keyed && may_own;
    table_add(&log->ids, &sub->by_id, table_hash(sub->id.bytes));
    if (sub->in_key) {
        memcpy(sub->key_hash, env->key_hash, 32);
        memcpy(sub->fingerprint, env->fingerprint, 32);
        table_add(&log->keys, &sub->by_key, key_table_hash(sub->key_hash));
    }
    if (log->part[partition].last)
        log->part[partition].last->next = sub;
    else
        log->part[partition].first = sub;
    log->part[partition].last = sub;
    log->live_count++;
    return sub;
}

static struct sub *pop(struct sublog *log, int32_t partition)
{
    struct sub *sub = log->part[partition].first;
    log->part[partition].first = sub->next;
    if (!sub->next)
        log->part[partition].last = NULL;
    sub->next = NULL;
    log->live_count--;
    return sub;
}

void sublog_forget(struct sublog *log, int32_t partition, int64_t next_offset,
                   void (*left)(void *owner, const struct sub *sub), void *owner)
{
    while (log->part[partition].first && log->part[partition].first->offset < next_offset) {
        struct sub *sub = pop(log, partition);
        sub->live = false;
        if (sub->in_key) {
            table_remove(&log->keys, &sub->by_key);
            sub->in_key = false;
        }
        left(owner, sub);
        if (log->old_last)
            log->old_last->next = sub;
        else
            log->old_first = sub;
        log->old_last = sub;
        if (++log->old_count > log->old_max) {
            struct sub *oldest = log->old_first;
            log->old_first = oldest->next;
            if (!log->old_first)
                log->old_last = NULL;
            log->old_count--;
            drop(log, oldest);
        }
    }
    if (log->part[partition].begin < next_offset)
        log->part[partition].begin = next_offset;
}

void sublog_restart(struct sublog *log, int32_t partition, int64_t begin,
                    void (*left)(void *owner, const struct sub *sub), void *owner)
{
    while (log->part[partition].first) {
        struct sub *sub = pop(log, partition);
        if (left)
            left(owner, sub);
        drop(log, sub);
    }
    log->part[partition].begin = begin;
}

struct sub *sublog_find(const struct sublog *log, const struct uuid *id)
{
    struct sub *found = NULL;
    for (struct node *node = table_first(&log->ids, table_hash(id->bytes)); node;
         node = table_next(node)) {
        struct sub *sub = OWNER_OF(node, struct sub, by_id);
        if (uuid_eq(&sub->id, id) && (!found || sub->offset < found->offset))
            found = sub;
    }
    return found;
}

size_t sublog_key(const struct sublog *log, const struct uuid *project, const uint8_t key_hash[32],
                  struct key_record *out, size_t max)
{
    size_t count = 0;
    for (struct node *node = table_first(&log->keys, key_table_hash(key_hash)); node;
         node = table_next(node)) {
        struct sub *sub = OWNER_OF(node, struct sub, by_key);
        if (memcmp(sub->key_hash, key_hash, 32) != 0 || !uuid_eq(&sub->project, project))
            continue;
        if (count < max) {
            out[count] = (struct key_record){.offset = sub->offset, .id = sub->id};
            memcpy(out[count].fingerprint, sub->fingerprint, 32);
        }
        count++;
    }
    return count;
}

size_t sublog_bytes(const struct sublog *log)
{
    return log->live_count * (sizeof(struct sub) + 32);
}
