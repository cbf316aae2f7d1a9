/* One phase of a job, the compile or the run, in a sandbox of its own.
 *
 * A phase may be prepared before its job is there (warm.h): then everything up to the loaded filter
 * is done, and phase_give hands over what only the job has.
 *
 * phase_start makes everything fresh and returns at once; events of the loop carry it on: the
 * payload reports itself ready, the launcher reads the isolation back and lets it go, watches the
 * clocks, the pipes, the listener and out-of-memory events, and when the init is gone collects the
 * group's numbers. `done` is called exactly once, from the loop, never from phase_start. */
#pragma once
#include "sandbox/child.h"
#include "sandbox/host.h"

/* The child's ends that are kept until the template's fork has them. */
enum phase_far {
    PHASE_FAR_SYNC,
    PHASE_FAR_STDIN,
    PHASE_FAR_STDOUT,
    PHASE_FAR_STDERR,
    PHASE_FAR_COUNT
};

enum phase_pipe { PIPE_OUT, PIPE_ERR, PIPE_COUNT };

struct phase_output {
    struct watch watch;
    int *file; /* the job's memfd, made when there is something to keep; -1 until then */
    int pipe;  /* read end, owned */
    uint64_t *bytes;
    bool *cut;
};

struct phase {
    struct host *host;
    struct evidence *ev;
    struct phase_evidence *pe;
    void (*done)(struct phase *phase);
    void *owner;

    struct child_spec spec;
    bool own_binary; /* the program is the job's own, so that failing to execute it is its fault */
    struct cgroup group;
    bool grouped; /* the group is made, and somebody may be in it */
    pid_t init, payload;
    int init_fd, sync_fd, timer_fd, listener_fd;
    int mnt_ns, root_fd; /* the sandbox's mounts and its "/" */
    int box_mount;       /* given; owned */
    int tmp_mount; /* of a compile: open after done, for the output; phase_release closes it */
    const struct given *given_files; /* of the job; linked to in /tmp before the program starts */
    struct phase_output outputs[PIPE_COUNT];
    struct watch init_watch, sync, timer, oom, listener;
    int far[PHASE_FAR_COUNT];
    uint32_t template_generation, template_jobs; /* of the template it is a fork of; 0 = of none */
    int64_t at[STEP_COUNT];                      /* 0 = not reached */
    int64_t began_ns, go_ns, ended_ns, kill_by_ns;
    struct shelf *shelf;     /* see phase_start; the owner's */
    uint64_t runs;           /* that its sandbox served before */
    bool stays;              /* its init waits for another run after its report */
    struct remains *remains; /* what takes over at the end */
    unsigned tries;          /* to see the group empty */
    bool compile;
    const char *words; /* of the job, for the command */
    size_t words_len;
    bool given;      /* a job has come */
    bool tightening; /* its payload was told the job's limits and has not answered */
    bool probe;      /* a trial: end as soon as the isolation was read back */
    bool active, collected;
    bool output_lost; /* the host could not keep what the program wrote */
};

struct phase_start {
    enum language language;
    bool compile, probe;
    bool template; /* template_ready said yes */
    struct limits limits;
    int stdin_fd;              /* not taken; open already when the phase is prepared */
    int box_mount;             /* not taken; not asked for when the phase is prepared */
    int *files[PIPE_COUNT];    /* places of the memfds for what the program writes; until done */
    struct shelf *shelf;       /* to leave the sandbox on; NULL = it serves this run alone */
    struct idle *idle;         /* a sandbox from there; taken, also when the start fails */
    bool merge;                /* stdout goes to the stderr file too (compilers) */
    const struct given *given; /* files to link to in the run's /tmp; NULL = none; until done */
    const char *words;         /* for its command, each ends in NUL; not taken, lasts until done */
    size_t words_len;
};

/* phase_prepare and phase_give at once. */
int phase_start(struct phase *phase, const struct phase_start *start, struct err *err) MUST_CHECK;
/* Up to the loaded filter, for any job with this language and limits that are no higher. ev and pe
 * of the phase take what is read back; `done` is called if it fails or is killed. */
int phase_prepare(struct phase *phase, const struct phase_start *start, struct err *err) MUST_CHECK;
/* The job's part, with its own evidence; owner and done are set before. Starts the program as soon
 * as the sandbox is ready. A failure leads to done by itself. */
void phase_give(struct phase *phase, const struct phase_start *start, struct evidence *ev,
                struct phase_evidence *pe);
/* Whether a sandbox prepared with some limits can serve a job with others: with lower ones of what
 * a submission may tighten. phase_give does so. */
bool phase_may_tighten(const struct limits *from, const struct limits *to);
bool phase_same_limits(const struct limits *a, const struct limits *b);
bool phase_ready(const struct phase *phase); /* prepared, alive and not given */
/* Kills everything in it; the first reason given is kept with all later ones. */
void phase_kill(struct phase *phase, enum judge_action action);
void phase_release(struct phase *phase); /* after done, or after a failed phase_start */
/* Adds a text to ev's collection errors. */
void phase_note(struct evidence *ev, const char *format, ...) __attribute__((format(printf, 2, 3)));
