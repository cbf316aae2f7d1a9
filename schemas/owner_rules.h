/* Who owns an Idempotency-Key: delivery.md rules 4, 6, 7 and 8 as pure functions of the log.
 *
 * admit decides with them what it stores, the gateway computes with them what it answers; both must
 * agree, so there is one implementation. No I/O, no clock, no allocation.
 *
 * A key is (project, key hash). Its records lie in one partition, so that their offsets are the log
 * order. A stored row owns when it has a key hash and no owner_id; a record that may never own
 * (forged, wrong partition, wrong day) is stored without a key hash. */
#pragma once
#include "schemas/envelope.h"

/* One record or stored row of the key under question. */
struct key_record {
    int64_t offset;
    struct uuid id; /* its day is the record's day */
    bool owns;      /* rows: given; records of a tail: computed by owner_fold */
    bool erased;    /* the fingerprint is gone */
    uint8_t fingerprint[32];
};

enum key_answer {
    KEY_FREE,     /* no owner in the window: the record in hand owns */
    KEY_REPEAT,   /* same fingerprint: an alias of *owner */
    KEY_CONFLICT, /* another fingerprint */
    KEY_ERASED,   /* the owner was erased */
};

#define OWNER_DAY_SLACK_MS 3600000
/* Rule 6: is the broker's timestamp within an hour of that day's nearest edge (or inside it)? */
bool owner_day_fits(int32_t day, int64_t broker_ms);
/* Rules 4 and 6: may this keyed or unkeyed record be judged at all, as far as place and day go? The
 * signature (rule 27) is judged by the caller. */
bool owner_place_fits(const struct envelope *env, int32_t partition, int64_t broker_ms);
/* Rule 8: the first in log order that owns and whose day is `day`, the one before or the one after;
 * NULL when there is none. `records` need not be sorted. */
const struct key_record *owner_find(const struct key_record *records, size_t count, int32_t day);
/* What a record of this day and fingerprint is, given the records before it. *owner (may be NULL)
 * is set unless KEY_FREE. */
enum key_answer owner_judge(const struct key_record *records, size_t count, int32_t day,
                            const uint8_t fingerprint[32], const struct key_record **owner);
/* Rule 9: joins stored rows (records[0..rows)) and records of the tail after them
 * (records[rows..count), all of which passed owner_place_fits and have good signatures), drops tail
 * records that are stored already, sorts by offset and fills `owns` of the tail's. Returns the new
 * count. Only what lies below `before` counts. */
size_t owner_fold(struct key_record *records, size_t rows, size_t count, int64_t before);
