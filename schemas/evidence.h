/* What the launcher measured about one job: the only input of the verdict rules.
 *
 * Written by sandbox/, carried to consumers/execute as JSON (evidence_encode/evidence_decode), kept
 * with the verdict so that the same rules can be applied again later. Nothing in here is what the
 * program printed. Counters are 0 and flags false when not measured; `have_*` says which were. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "schemas/languages.h"

enum control {
#define CONTROL(name, required) CONTROL_##name,
#include "schemas/controls.def"
#undef CONTROL
    CONTROL_COUNT
};
const char *control_name(enum control control);

/* What the judge itself did to the job, as bits of phase_evidence.actions. */
enum judge_action {
    ACTION_KILL_CPU = 1 << 0,     /* group CPU clock passed the limit */
    ACTION_KILL_WALL = 1 << 1,    /* wall clock passed the limit */
    ACTION_KILL_OUTPUT = 1 << 2,  /* stdout or stderr passed output_bytes */
    ACTION_KILL_OOM = 1 << 3,     /* first OOM event: the whole group is killed */
    ACTION_KILL_SECCOMP = 1 << 4, /* too many denied dangerous calls */
    ACTION_KILL_CANCEL = 1 << 5,  /* cancelled by the caller */
};
const char *judge_action_name(enum judge_action action); /* "kill_cpu_limit", ... */

#define SECCOMP_EVENTS_MAX 16
struct seccomp_event {
    uint32_t arch;
    int32_t number;
    char name[24];
    uint64_t args[6], instruction_pointer;
    uint32_t pid; /* inside the launcher's pid namespace */
};

/* One phase: the compile or the run. */
struct phase_evidence {
    bool ran;
    bool reported;       /* the init's single, complete report arrived */
    bool exited;         /* exit_code counts */
    int exit_code;
    bool signaled;       /* signal counts */
    int signal;
    uint32_t actions;    /* enum judge_action bits, in the order of the rules; also with !ran */
    struct limits limits; /* as read back from the kernel, not as asked for */
    uint64_t cpu_ns, wall_ns;
    uint64_t memory_peak_bytes, rss_max_bytes, oom_events, oom_kills;
    uint64_t pids_peak, pids_max, pids_denied; /* denied: pids.events `max` */
    uint64_t stdout_bytes, stderr_bytes; /* written by the program, also beyond what was kept */
    bool stdout_cut, stderr_cut;
    bool group_empty;    /* no process was left in the cgroup after the end */
    uint64_t zombies, survivors;
    uint64_t seccomp_count; /* events in all; the first SECCOMP_EVENTS_MAX are kept */
    struct seccomp_event seccomp[SECCOMP_EVENTS_MAX];
};

struct evidence {
    bool setup_ok;
    char setup_error[200]; /* what failed and where, no host paths the program could learn from */
    bool permissive;       /* isolation_mode: permissive instead of enforced */
    uint32_t controls_applied, controls_missing; /* bits 1 << enum control */
    struct phase_evidence compile, run;
    uint64_t ns_pid, ns_mnt, ns_net, ns_ipc, ns_uts, ns_cgroup, ns_user; /* inode numbers, 0 = the host's */
    char filter_sha256[65];
    char toolchain[64];    /* "gcc 12.2.0-14" */
    char compile_cache[8]; /* "hit": not compiled for this job; "miss"; "off": nothing was looked for */
    char tier[16];         /* "cold", "warm", "template" */
    uint64_t template_generation, template_jobs; /* which template, and its how manieth fork; 0 = none */
    uint64_t sandbox_runs; /* runs of the same built program that its sandbox served before */
    char cgroup_backend[4]; /* "v1" or "v2" */
    int64_t started_wall_ns, ended_wall_ns; /* Unix time */
    uint64_t setup_ns, teardown_ns;
    char collection_errors[8][80]; /* "" = unused */
};

/* The phase the verdict speaks of: run if it ran or was killed before it could, else compile. */
const struct phase_evidence *evidence_phase(const struct evidence *ev);
/* JSON, as the launcher sends and the verdict record keeps it. */
int evidence_encode(const struct evidence *ev, struct buf *out, struct err *err) MUST_CHECK;
int evidence_decode(struct span json, struct evidence *out, struct err *err) MUST_CHECK;
