/* Conservation: what became of every accepted id (delivery.md rule 29). Pure: sets of ids and how
 * they are classed; the caller reads rows and logs in the order that the rule demands.
 *
 * Memory: 17 bytes a slot, at most 3/4 of the slots used, doubled when full: 23 to 46 bytes an id,
 * for a moment half as much again while growing. max_ids bounds it. */
#pragma once
#include "lib/base/err.h"
#include "lib/base/uuid.h"

enum row_state { /* of a row in submissions, with its evidence */
                 ROW_OPEN,
                 ROW_HELD,     /* open; the row itself is the carrier */
                 ROW_FINISHED, /* a verdict is stored; rejections, conflicts and cancellations
                                  included */
                 ROW_ALIAS,
                 ROW_ERASED,
};

struct balance {
    struct uuid *ids;
    uint8_t *marks; /* 0 = free slot */
    size_t slots, used, max_ids;
};

struct balance_count {
    uint64_t accepted, finished, alias, erased, expired, dead, in_flight, difference;
    uint64_t held; /* of in_flight */
};

void balance_init(struct balance *balance, size_t max_ids);
void balance_done(struct balance *balance);
/* From decision and evidence state (NULL: no evidence row) as stored. ERR_BUG on an unknown text.
 */
int balance_row_state(struct span decision, struct span evidence_state, enum row_state *out,
                      struct err *err) MUST_CHECK;
/* Each may come any number of times and in any order. ERR_TOO_LARGE above max_ids. */
int balance_row(struct balance *balance, const struct uuid *id, enum row_state state,
                struct err *err) MUST_CHECK;
/* A record of `submissions` below the vector; expired: the partition of its class and day is gone.
 */
int balance_accepted(struct balance *balance, const struct uuid *id, bool expired,
                     struct err *err) MUST_CHECK;
int balance_carrier(struct balance *balance, const struct uuid *id, struct err *err) MUST_CHECK;
int balance_dead(struct balance *balance, const struct uuid *id, struct err *err) MUST_CHECK;
/* Classes every accepted id once. The first `capacity` ids without a carrier go to lost (may be
 * NULL). */
struct balance_count balance_classes(const struct balance *balance, struct uuid *lost,
                                     size_t capacity);
