/* The tail of `submissions` in memory: headers only (delivery.md rules 9 and 24).
 *
 * Holds every record from begin (at or below admit's next_offset) to where the tail has read, plus
 * some older ones for a while: these only help to answer when the database is away. Forgetting
 * follows admit's offsets. Pure bookkeeping: no I/O, no clock. */
#pragma once
#include "producers/gateway/table.h"
#include "schemas/owner_rules.h"

#define SUBLOG_PARTITIONS 24

struct sub {
    struct node by_id, by_key;
    struct sub *next; /* in its partition, then among the older ones */
    struct uuid id, project;
    int64_t offset, timestamp_ms, received_ns;
    int32_t partition;
    enum language language;
    bool live;   /* at or above the begin: its row may not be stored yet */
    bool in_key; /* keyed, of the right place and well signed: may own its key */
    uint8_t key_hash[32], fingerprint[32];
};

struct sublog {
    struct table ids, keys;
    struct {
        struct sub *first, *last;
        int64_t begin;
    } part[SUBLOG_PARTITIONS];
    struct sub *old_first, *old_last;
    size_t live_count, old_count, old_max;
};

void sublog_init(struct sublog *log, size_t old_max);
void sublog_done(struct sublog *log);
/* A record read at the end of its partition; may_own: owner_place_fits and its signature is good.
 */
struct sub *sublog_add(struct sublog *log, const struct envelope *env, int32_t partition,
                       int64_t offset, int64_t timestamp_ms, bool may_own);
/* admit has stored everything below next_offset. `left` is told each that is no longer live. */
void sublog_forget(struct sublog *log, int32_t partition, int64_t next_offset,
                   void (*left)(void *owner, const struct sub *sub), void *owner);
/* Everything of a partition goes; it will be read anew from begin. */
void sublog_restart(struct sublog *log, int32_t partition, int64_t begin,
                    void (*left)(void *owner, const struct sub *sub), void *owner);
/* The first record of an id in log order, live or older. */
struct sub *sublog_find(const struct sublog *log, const struct uuid *id);
/* Live records of a key; at most max, returns how many there are. */
size_t sublog_key(const struct sublog *log, const struct uuid *project, const uint8_t key_hash[32],
                  struct key_record *out, size_t max);
size_t sublog_bytes(const struct sublog *log);
