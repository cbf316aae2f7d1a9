/* Which day partitions can take rows (delivery.md rule 17): asked by admit and persist before each
 * transaction, answered from memory once a day is known.
 *
 * A day is gone when retention dropped it, or when it never had partitions here and lies wholly
 * outside its class's window (a rebuilt database must not revive it). Any other day gets its
 * partitions at once. What is in memory may be stale: a row that meets a partition dropped
 * meanwhile is ERR_EXPIRED; then days_forget and ask again. */
#pragma once
#include "lib/base/clock.h"
#include "lib/db/db.h"

#define DAYS_KNOWN 64
struct days {
    struct known_day {
        int32_t day;
        uint16_t retention_class;
        bool live;
    } known[DAYS_KNOWN];
    size_t count;
    int64_t next_upkeep_ms; /* monotonic */
};

void days_forget(struct days *days); /* after a reconnect, or ERR_EXPIRED */
/* Once an hour: partitions for the days of the key window and a week ahead. */
int days_upkeep(struct days *days, struct db *db, const struct clock *clock,
                struct err *err) MUST_CHECK;
int days_live(struct days *days, struct db *db, const struct clock *clock, uint16_t retention_class,
              int32_t day, bool *live, struct err *err) MUST_CHECK;
/* The last instant of a record of this day is out of its class's window. */
static inline bool days_outside(uint16_t retention_class, int32_t day, int64_t now_ms)
{
    return now_ms >= (int64_t)(day + 1 + retention_class) * DAY_MS;
}
