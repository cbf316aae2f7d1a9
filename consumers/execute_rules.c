/* See execute_rules.h. */
#include "consumers/execute_rules.h"

/* Projects take turns in the order of their ids, beginning after the one that was last. */
static bool sooner(const struct uuid *a, const struct uuid *b, const struct uuid *last)
{
    bool a_after = memcmp(a->bytes, last->bytes, sizeof a->bytes) > 0;
    bool b_after = memcmp(b->bytes, last->bytes, sizeof b->bytes) > 0;

    if (a_after != b_after)
        return a_after;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) < 0;
}

static ptrdiff_t pick_suspect(const struct rules_job *const *waiting, size_t count)
{
    ptrdiff_t best = -1;

    for (size_t i = 0; i < count; i++)
        if (waiting[i]->suspect && (best < 0 || waiting[i]->order < waiting[best]->order))
            best = (ptrdiff_t)i;
    return best;
}

static ptrdiff_t pick_lane(const struct rules_job *const *waiting, size_t count, enum lane lane,
                           const struct uuid *last)
{
    ptrdiff_t best = -1;

    for (size_t i = 0; i < count; i++) {
        const struct rules_job *job = waiting[i], *than = best < 0 ? NULL : waiting[best];
        if (job->lane != lane || job->blocked)
            continue;
        if (!than || sooner(&job->project, &than->project, last) ||
            (uuid_eq(&job->project, &than->project) && job->order < than->order))
            best = (ptrdiff_t)i;
    }
    return best;
}

ptrdiff_t rules_pick(const struct rules_job *const *waiting, size_t count,
                     struct rules_running running, const struct rules_turns *turns)
{
    ptrdiff_t suspect = pick_suspect(waiting, count), interactive, batch;

    if (running.suspect)
        return -1;
    if (suspect >= 0)
        return running.count == 0 ? suspect : -1;
    interactive = pick_lane(waiting, count, LANE_INTERACTIVE, &turns->last[LANE_INTERACTIVE]);
    batch = pick_lane(waiting, count, LANE_BATCH, &turns->last[LANE_BATCH]);
    if (interactive < 0 || (batch >= 0 && turns->since_batch >= RULES_BATCH_SHARE - 1))
        return batch;
    return interactive;
}

void rules_started(struct rules_turns *turns, const struct rules_job *job, bool batch_waits)
{
    turns->last[job->lane] = job->project;
    turns->since_batch = job->lane == LANE_INTERACTIVE && batch_waits ? turns->since_batch + 1 : 0;
}

bool rules_death_counts(struct rules_running running)
{
    return running.count == 1 && running.suspect;
}

bool rules_is_poison(unsigned deaths)
{
    return deaths >= RULES_POISON_DEATHS;
}

bool rules_accepts(size_t waiting_in_lane, size_t most, bool was_full)
{
    return waiting_in_lane < (was_full ? most / 2 : most);
}

bool rules_lingers(bool others_in_hand, size_t waiting, size_t slots)
{
    return others_in_hand && waiting >= 2 * slots;
}
