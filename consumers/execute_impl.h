/* What execute.c (the stage) and execute_jobs.c (jobs and launcher) share; nobody else includes it.
 */
#pragma once
#include "consumers/execute_journal.h"
#include "consumers/execute_result.h"
#include "consumers/execute_rules.h"
#include "sandbox/box.h"
#include "schemas/signing.h"

#define PREFETCH_MIN 32 /* waiting records of a lane; twice the slots when that is more */
#define RECONNECT_MIN_MS 50

struct job {
    struct rules_job rules; /* first: a candidate's address is its job's */
    struct ticket *ticket;  /* NULL while running: taken away, its report is awaited and dropped */
    const struct record *rec;
    struct envelope env;
    bool running;
    int64_t deadline_ms;
};

struct execute {
    const struct stage_env *env;
    struct keystore *ks;
    struct signing signing;
    struct journal *journal;
    struct verdict_maker maker;
    struct buf plain;
    struct arena arena;
    struct box *box;
    struct box_info info;
    int64_t reconnect_ms, backoff_ms;
    size_t slots, most_waiting;
    struct job **jobs;                   /* waiting and running, in order of arrival */
    const struct rules_job **candidates; /* room for as many */
    size_t count, cap;
    struct rules_running running;
    struct rules_turns turns;
    size_t waiting[RULES_LANES];
    bool full[RULES_LANES], stopping;
    uint64_t arrivals;
};

/* Takes a record in as a waiting job. */
struct job *jobs_add(struct execute *ex, struct ticket *ticket, const struct record *rec,
                     const struct envelope *env);
/* The ticket is gone: a waiting job is forgotten, a running one cancelled and its report dropped.
 */
int jobs_abandon(struct execute *ex, const struct ticket *ticket, struct err *err) MUST_CHECK;
/* Connects, takes reports, gives up a launcher that hangs, starts what has a slot. */
int jobs_turn(struct execute *ex, struct err *err) MUST_CHECK;
int64_t jobs_due_ms(const struct execute *ex);
/* Closes the jobs that died too often while they ran alone. */
int jobs_close_poison(struct execute *ex, struct err *err) MUST_CHECK;
