/* Which attempts are over or in hand, so that a record that comes a second time is not sent a
 * second time: after a restart the log's uncommitted part is read again, and a crash between two
 * outputs leaves copies.
 *
 * A plain set with a bound: when it is full, or every 10 minutes, the older half is forgotten. No
 * I/O, no clock. */
#pragma once
#include "lib/base/uuid.h"

struct seen_key {
    struct uuid message;
    uint32_t generation, attempt;
};

enum seen_state {
    SEEN_NOTHING, /* not known, or parked: may be sent */
    SEEN_IN_HAND, /* another copy is being sent by this process */
    SEEN_DONE,    /* this process finished it; its ticket stands for the outputs */
    SEEN_LOGGED,  /* the log says so; what had to follow it may be missing */
};

struct seen_entry {
    struct seen_key key;
    uint8_t state;
    uint8_t outcome; /* SEEN_LOGGED: enum attempt_outcome, and of a retry: */
    uint8_t delay, step;
    int64_t due_ms;
};

struct seen;                        /* two generations of a table */
struct seen *seen_new(size_t most); /* entries of one generation */
void seen_free(struct seen *seen);
void seen_reset(struct seen *seen);
/* NULL = SEEN_NOTHING. Valid until the next seen_put. */
struct seen_entry *seen_find(struct seen *seen, const struct seen_key *key);
/* Finds or makes it; a new one is SEEN_NOTHING. */
struct seen_entry *seen_put(struct seen *seen, const struct seen_key *key);
/* Forgets the older half when the newer one is older than that. */
void seen_age(struct seen *seen, int64_t mono_ms);
size_t seen_count(const struct seen *seen);
