/* One job: compile if the language has it, carry the output over, run, report.
 *
 * A job owns its memfds for code, stdin and outputs. job_start returns at once; `done` is called
 * exactly once, also when the start fails (then from within job_start). */
#pragma once
#include "sandbox/cache.h"
#include "sandbox/phase.h"
#include "sandbox/wire.h"

struct job {
    struct host *host;
    struct box_job request; /* without spans */
    struct given given;     /* its args and files; the contents lie in code, behind the source */
    char words[GIVEN_WORDS_MAX]; /* what the phase's command gets; see phase_start */
    int code, input;             /* memfds from the client, owned */
    int files[PIPE_COUNT];       /* what the program wrote, owned; -1 = nothing */
    int stdin_file;              /* the launcher's copy of input, owned while the job runs */
    int source_mount;
    int box_mount; /* what the run finds at /box; given before the start, there is no compile */
    struct shelf *shelf;        /* of the built program that it runs; NULL = of none */
    struct cache_ticket ticket; /* of its compile; released with the inputs */
    struct evidence ev;
    struct phase *phase;    /* the one that runs, owned; NULL between and after */
    int64_t at[STEP_COUNT]; /* when the last phase reached each step */
    bool build;             /* ends with box_mount, for runs to come */
    bool compiling, cancelled;
    bool refused; /* the template could not run it */
    bool afresh;  /* a sandbox that stayed could not */
    void (*done)(struct job *job);
    void *owner;
};

void job_start(struct job *job);
/* Its set-up failed, for a reason outside of it: before the start, or right after done. */
void job_refuse(struct job *job, const char *why);
/* Ends it early; `done` follows (possibly from within). */
void job_cancel(struct job *job);
/* Cancelled while it was queued: evidence of a job that did nothing. */
void job_never_ran(struct job *job);
void job_release_inputs(struct job *job); /* all but the outputs; after done */
void job_release(struct job *job);        /* closes everything; after done */
