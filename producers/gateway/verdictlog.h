/* The tail of `verdicts` in memory (delivery.md rule 25): the first verdict of each id that the
 * tail has seen, with its sealed value.
 *
 * Forgets only what persist's offsets have passed, and of that the oldest beyond a byte budget:
 * keeping stored verdicts for a while is what lets results be answered while the database is away.
 * The begin of a partition, and the broker's time of the last record below it, move with it. */
#pragma once
#include "lib/keystore/keystore.h"
#include "producers/gateway/sublog.h"

struct verdict_seen {
    struct node by_id;
    struct verdict_seen *next; /* in its partition */
    struct uuid id, project;
    struct key_id key;
    int64_t offset, timestamp_ms, arrived_ms;
    int32_t partition;
    unsigned refs;
    bool stored; /* persist's offset has passed it */
    size_t len;
    uint8_t *value; /* NULL: dropped for the memory limit, only the database can tell */
};

struct verdictlog {
    struct table ids;
    struct {
        struct verdict_seen *first, *last, *unstored; /* unstored: first not yet passed */
        int64_t begin, persisted;
        int64_t begin_ms; /* broker's time; everything below begin is not younger */
    } part[SUBLOG_PARTITIONS];
    size_t bytes, keep_bytes, max_bytes;
    int64_t keep_ms;
};

void verdictlog_init(struct verdictlog *log, size_t keep_bytes, size_t max_bytes, int64_t keep_ms);
void verdictlog_done(struct verdictlog *log);
/* NULL when the id was seen before. */
struct verdict_seen *verdictlog_add(struct verdictlog *log, const struct envelope *env,
                                    struct span value, int32_t partition, int64_t offset,
                                    int64_t timestamp_ms, int64_t mono_ms);
/* persist has stored everything below; `stored` is told each that counts no longer as open. */
void verdictlog_forget(struct verdictlog *log, int32_t partition, int64_t persisted,
                       int64_t mono_ms,
                       void (*stored)(void *owner, const struct verdict_seen *seen), void *owner);
void verdictlog_restart(struct verdictlog *log, int32_t partition, int64_t begin, int64_t begin_ms,
                        void (*stored)(void *owner, const struct verdict_seen *seen), void *owner);
struct verdict_seen *verdictlog_find(const struct verdictlog *log, const struct uuid *id);
struct verdict_seen *verdict_ref(struct verdict_seen *seen);
void verdict_unref(struct verdict_seen *seen); /* NULL is fine */
/* Rule 25, database away: may no verdict of this id lie below the begin? */
bool verdictlog_complete_for(const struct verdictlog *log, const struct uuid *id,
                             int64_t submitted_broker_ms);
