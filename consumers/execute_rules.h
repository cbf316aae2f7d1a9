/* What execute decides, without I/O, clock or allocation: which waiting job takes a free slot,
 * whether a record may still be taken in, and what a death of the launcher or of this process says
 * about the jobs that were running (delivery.md rule 15). */
#pragma once
#include "lib/base/uuid.h"
#include "schemas/envelope.h"

#define RULES_LANES 2
#define RULES_BATCH_SHARE 4 /* while both lanes wait, every fourth start is a batch job */
#define RULES_POISON_DEATHS 3

struct rules_job {
    struct uuid project;
    enum lane lane;
    bool suspect;   /* was running when something died, and has not ended since */
    bool blocked;   /* another copy of its id is running */
    uint64_t order; /* of arrival */
};

struct rules_turns {
    struct uuid last[RULES_LANES]; /* the project that had its turn last, by lane */
    unsigned since_batch;          /* interactive starts since the last batch start */
};

struct rules_running {
    size_t count;
    bool suspect; /* one of them is a suspect; then it is the only one */
};

/* The waiting job to start now, or -1. Suspects first, one at a time and alone; else lanes by
 * share, projects in turn, and a project's jobs in order of arrival. */
ptrdiff_t rules_pick(const struct rules_job *const *waiting, size_t count,
                     struct rules_running running, const struct rules_turns *turns);
void rules_started(struct rules_turns *turns, const struct rules_job *job, bool batch_waits);
/* Something died: does it count against the one job that was running? */
bool rules_death_counts(struct rules_running running);
bool rules_is_poison(unsigned deaths);
/* May a lane take one more record in? Once full it opens again at half. */
bool rules_accepts(size_t waiting_in_lane, size_t most, bool was_full);
/* May a verdict wait for others of its slice of time? Only while the slots have work enough. */
bool rules_lingers(bool others_in_hand, size_t waiting, size_t slots);
