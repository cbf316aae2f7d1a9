/* What execute.c (the stage), execute_jobs.c (jobs, flights and the launcher's connection) and
 * execute_start.c (opening a value and starting its runs) share; nobody else includes it.
 *
 * A job is a submission in hand. What the launcher works at is a flight: the one run of a job, or,
 * of a job with cases, its build and then its cases, each in a slot of its own. */
#pragma once
#include "consumers/execute_cases.h"
#include "consumers/execute_journal.h"
#include "consumers/execute_result.h"
#include "consumers/execute_rules.h"
#include "sandbox/box.h"
#include "schemas/signing.h"
#include "schemas/submission.h"

#define PREFETCH_MIN 32 /* waiting records of a lane; twice the slots when that is more */
#define RECONNECT_MIN_MS 50

struct job {
    struct rules_job rules; /* first: a candidate's address is its job's */
    struct ticket *ticket;  /* NULL while running: taken away, its report is awaited and dropped */
    const struct record *rec;
    struct envelope env;
    struct arena arena;         /* of labels */
    const struct label *labels; /* once the value was opened */
    size_t label_count;
    struct cases *cases; /* while it runs, of a submission that has them */
    bool has_cases;      /* found when it was opened, and it waits for another such job's end */
    bool running;        /* begun; with cases it may be between two of them */
    bool erased;         /* found erased while cases of it were running: ends with the last */
    size_t in_flight;
    int64_t began_ns; /* with cases: Unix time */
    bool told;        /* its start is in `progress` */
    int64_t tell_ms;  /* when it will be, if it runs by then */
};

#define FLIGHT_ALONE SIZE_MAX
#define FLIGHT_BUILD (SIZE_MAX - 1)
struct flight {
    struct uuid id; /* as the launcher knows it */
    struct job *job;
    size_t index; /* of the case */
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
    int64_t reconnect_ms, backoff_ms, told_ms; /* told: the last start; 0 = none yet */
    size_t slots, most_waiting;
    struct job **jobs;                   /* waiting and running, in order of arrival */
    const struct rules_job **candidates; /* room for as many */
    size_t count, cap;
    struct flight *flights;              /* running.count of them, room for slots */
    struct uuid releases[BOX_BUILT_MAX]; /* that the launcher could not be told yet */
    size_t release_count, with_cases;    /* with_cases: jobs that run and have cases */
    struct rules_running running;        /* flights */
    struct rules_turns turns;
    size_t waiting[RULES_LANES];
    bool full[RULES_LANES], stopping;
    uint64_t arrivals;
};

/* Takes a record in as a waiting job. */
struct job *jobs_add(struct execute *ex, struct ticket *ticket, const struct record *rec,
                     const struct envelope *env);
void jobs_free(struct job *job);
bool jobs_will_end(const struct job *job); /* with what is in flight, and nothing more is started */

/* ---- execute_start.c: starts that are due to be told, and when the next one is ---- */
void start_tell(struct execute *ex);
int64_t start_tell_due_ms(const struct execute *ex);

/* ---- execute_jobs.c, for execute_start.c ---- */
/* The launcher has it: takes a slot. */
void flights_add(struct execute *ex, const struct flight *flight);
/* The job ends without a verdict when result is -1 and err is ERR_ERASED; else result 0 as it is.
 */
int jobs_erased_or(struct execute *ex, struct job *job, int result, struct err *err) MUST_CHECK;
int jobs_close_by_cause(struct execute *ex, struct job *job, enum cause cause,
                        struct err *err) MUST_CHECK;
int jobs_launcher_died(struct execute *ex, const struct err *why, struct err *err) MUST_CHECK;
int64_t jobs_now_ms(const struct execute *ex);

/* ---- execute_start.c ---- */
enum started { START_ERROR = -1, START_NO_ROOM, START_DONE, START_NOT_NOW };
/* Opens the value of a waiting job anew (rule 19) and hands its run or its build over, or closes
 * what cannot be started; of one that runs, hands the next case over. */
enum started start_next(struct execute *ex, struct job *job, struct err *err) MUST_CHECK;
size_t start_cases_max(const struct execute *ex); /* jobs with cases at the same time */
/* The ticket is gone: a waiting job is forgotten, a running one cancelled and its report dropped.
 */
int jobs_abandon(struct execute *ex, const struct ticket *ticket, struct err *err) MUST_CHECK;
/* Connects, takes reports, gives up a launcher that hangs, starts what has a slot. */
int jobs_turn(struct execute *ex, struct err *err) MUST_CHECK;
int64_t jobs_due_ms(const struct execute *ex);
/* Closes the jobs that died too often while they ran alone. */
int jobs_close_poison(struct execute *ex, struct err *err) MUST_CHECK;
