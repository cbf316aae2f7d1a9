/* The two processes the launcher makes for a phase, both still running its own code: the init
 * (PID 1 of the job's namespace, root, outside the job's limits) and the payload, which takes every
 * layer on itself, tells the launcher, waits for its word and only then executes the program.
 *
 * They talk to the launcher by one message each on a SOCK_SEQPACKET pair, so nothing can be torn.
 * The pair is close-on-exec: the program never holds it. */
#pragma once
#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/toolchains.h"
#include "schemas/languages.h"
#include <sys/types.h>

/* steps.def: where the time of a phase goes. */
enum step {
#define STEP(name, text) STEP_##name,
#include "sandbox/steps.def"
#undef STEP
    STEP_COUNT
};

struct child_spec {
    int root_ns; /* mount namespace with the language's read-only root and nothing else */
    int sync_fd;
    int stdin_fd, stdout_fd, stderr_fd; /* the payload's, which gets them later: CHILD_OUTFIT */
    int tmp_mount, shm_mount;   /* what to mount instead of fresh ones: escape tests; else -1 */
    const struct cgroup *group; /* likewise */
    const struct toolchain_phase *commands;
    const struct filter *filter;
    const char *source; /* its name below /box: what a compile gets of the job comes behind it */
    bool compile;
    struct limits limits;
    uid_t uid;        /* and gid */
    int landlock_abi; /* 0 = do without */
    int64_t *at;      /* [STEP_COUNT], the child stamps its own copy */
    bool template;    /* the payload is a fork of the template and comes by itself */
    int last_pid;     /* the init stays for further runs (stay.h) and resets numbers by this; -1 */
    uint32_t layers;  /* of enum child_layer: what is left off, tests only; 0 otherwise */
};

/* Layers that the escape tests leave off one by one to see their attempts succeed. */
enum child_layer {
    LAYER_SECCOMP = 1 << 0,
    LAYER_CAPS = 1 << 1,
    LAYER_UID = 1 << 2,
    LAYER_NNP = 1 << 3,
    LAYER_READONLY = 1 << 4,
    LAYER_NETWORK = 1 << 5,
    LAYER_RLIMITS = 1 << 7,
    LAYER_CGROUP = 1 << 8,
    LAYER_HIDEPID = 1 << 10,
    LAYER_IPC = 1 << 11,
    LAYER_NOEXEC = 1 << 13,
    LAYER_MEMORY = 1 << 15,
    LAYER_VIEW = 1 << 16, /* the host's root stays, reachable as /.. */
    LAYER_PID = 1 << 17,
    LAYER_FDS = 1 << 18, /* the program inherits the launcher's descriptors */
    LAYER_CPU = 1 << 19,
    LAYER_LANDLOCK = 1 << 20,
    LAYER_UTS = 1 << 21,
    LAYER_WALL = 1 << 22,
    LAYER_OUTPUT = 1 << 23,
    LAYER_TMP = 1 << 24,   /* no bound on the bytes and files of /tmp and /dev/shm */
    LAYER_FRESH = 1 << 25, /* runs share one /tmp, all phases one /dev/shm */
    LAYER_ENV = 1 << 26,   /* the launcher's environment */
    LAYER_RENEW = 1 << 27, /* a sandbox that serves another run has all that the one before left */
};

enum child_kind {
    CHILD_FAILED = 1, /* set-up: `where`, `error` */
    CHILD_ROOT,       /* init: the root is finished, the template may fork into it */
    CHILD_LOADED,     /* payload: everything applied; `listener` is its descriptor number */
    CHILD_TIGHTENED,  /* payload: its resource limits are the job's now, lower ones */
    CHILD_NO_EXEC,    /* payload: the program could not be executed, `error`; it exits 127 */
    CHILD_ENDED,      /* init: the report */
};

struct child_message {
    uint32_t kind;
    int32_t error; /* errno */
    char where[48];
    int32_t listener; /* -1 = no filter (tests) */
    int32_t landlock; /* whether it was seen to refuse */
    int32_t status;   /* wait status of the program */
    bool alone;       /* it was all that there was to reap: the init stays, if it was to */
    uint64_t rss_max_bytes, zombies;
    int64_t ended_ns;       /* CLOCK_MONOTONIC */
    int64_t at[STEP_COUNT]; /* loaded: what the child stamped */
};

/* The launcher's words to a payload that waits: a letter and what belongs to it, in one message. */
#define CHILD_OUTFIT 'O' /* with descriptors: 0, 1, 2 and the groups; the first of all */
#define CHILD_OUTFIT_GROUPS 3
#define CHILD_OUTFIT_FDS (CHILD_OUTFIT_GROUPS + CGROUP_DIRS)
#define CHILD_GO 'G'      /* what the command gets of the job: texts that end in NUL */
#define CHILD_TIGHTEN 'T' /* struct limits */

int64_t child_now_ns(void); /* CLOCK_MONOTONIC */
/* RLIMIT_NPROC behind the group's limit N. The kernel asks it first, and counts a fork from its
 * very beginning, long before the group does: N processes that fork at once are 2 N to it. Lower,
 * it would refuse some of them, of which the group, whose numbers are the evidence, never hears. */
static inline uint64_t child_nproc(const struct limits *limits)
{
    return 2 * limits->processes;
}
/* A sandbox's namespaces that are the same for every order: made by a blank before it has one. */
void child_blank(int sync_fd, uint32_t layers);
/* In a blank of the maker's, which dies with the launcher and is not dumpable. */
_Noreturn void child_init(const struct child_spec *spec);
/* For stay.c: fresh mounts on /tmp and /dev/shm of the calling process's root. */
void child_mount_fresh(const struct child_spec *spec);
