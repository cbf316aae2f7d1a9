/* The verdict rules. Each row of verdict_rules.def says by one function here whether it matches;
 * verdict_decide asks them in that order, which is the table's in sandbox/README.md, and takes the
 * first.
 *
 * What only the program could have printed is never asked. Two questions have no exact answer in
 * the kernel's evidence, and the rules take the narrow one: a denied system call "ended the
 * program" when SIGSYS did (foreign architecture) or when the judge killed it for flooding, not
 * when the program saw EPERM and then exited by itself; output "may end mid-write" when the program
 * was ended by a signal after it had written something. */
#include "schemas/verdict_rules.h"
#include "lib/base/strict.h"
#include <signal.h>

#define EXIT_SIGSYS (128 + SIGSYS)
#define NS_PER_MS UINT64_C(1000000)
#define OOM_SLACK_BYTES (UINT64_C(1) << 20)
/* Actions that end the job: a missing report is then no missing evidence. */
#define ACTIONS_THAT_KILL                                                                          \
    (ACTION_KILL_CPU | ACTION_KILL_WALL | ACTION_KILL_OUTPUT | ACTION_KILL_OOM |                   \
     ACTION_KILL_SECCOMP | ACTION_KILL_CANCEL)

static const char *const verdict_names[VERDICT_COUNT] = {
#define VERDICT(name, ...) #name,
#include "schemas/verdicts.def"
#undef VERDICT
};

static const char *const verdict_statuses[VERDICT_COUNT] = {
#define VERDICT(name, status, meaning) status,
#include "schemas/verdicts.def"
#undef VERDICT
};

static const struct {
    const char *name, *actor, *message;
    enum verdict verdict;
} causes[CAUSE_COUNT] = {
#define CAUSE(name, verdict, actor, message) {#name, actor, message, VERDICT_##verdict},
#include "schemas/causes.def"
#undef CAUSE
};

static const char *const integrity_names[] = {
    [OUTPUT_COMPLETE] = "complete",
    [OUTPUT_TRUNCATED_BY_JUDGE_LIMIT] = "truncated_by_judge_limit",
    [OUTPUT_TRUNCATED_BY_PROGRAM_CLOSE] = "truncated_by_program_close",
    [OUTPUT_CRASH_MID_WRITE] = "crash_mid_write",
    [OUTPUT_WRITE_ERROR] = "write_error",
};

static bool oom_killed(const struct phase_evidence *phase)
{
    return phase->oom_kills > 0 || (phase->actions & ACTION_KILL_OOM) != 0;
}

/* The kernel calls its OOM killer for requests of at most 32 KiB (PAGE_ALLOC_COSTLY_ORDER), so a
 * group whose own limit was in the way has a peak that close to it. One that stayed clearly below
 * was killed because the host, or a group above, was out of memory. No peak: not measured. */
static bool oom_from_outside(const struct phase_evidence *phase)
{
    return oom_killed(phase) && phase->memory_peak_bytes > 0 &&
           phase->memory_peak_bytes + OOM_SLACK_BYTES < phase->limits.memory_bytes;
}

static bool over(uint64_t used_ns, uint64_t limit_ms)
{
    return limit_ms > 0 && used_ns / NS_PER_MS >= limit_ms && used_ns > limit_ms * NS_PER_MS;
}

static bool cpu_over(const struct phase_evidence *phase)
{
    return (phase->actions & ACTION_KILL_CPU) != 0 || over(phase->cpu_ns, phase->limits.cpu_ms);
}

static bool wall_over(const struct phase_evidence *phase)
{
    return (phase->actions & ACTION_KILL_WALL) != 0 || over(phase->wall_ns, phase->limits.wall_ms);
}

static bool output_cut(const struct phase_evidence *phase)
{
    return (phase->actions & ACTION_KILL_OUTPUT) != 0 || phase->stdout_cut || phase->stderr_cut;
}

static bool process_limit_hit(const struct phase_evidence *phase)
{
    return phase->pids_denied > 0 || (phase->pids_max > 0 && phase->pids_peak >= phase->pids_max);
}

/* RLIMIT_CPU's signals, believed only when the group's clock agrees: a program can send itself
 * SIGXCPU. */
static bool cpu_ended_by_kernel(const struct phase_evidence *phase)
{
    return (phase->actions & ACTION_KILL_CPU) == 0 && phase->signaled &&
           (phase->signal == SIGXCPU || phase->signal == SIGKILL);
}

/* No judgement without it: one end, told in one complete report. A phase that the judge or an OOM
 * kill ended needs no report, its end is known. */
static bool evidence_missing(const struct phase_evidence *phase)
{
    if ((phase->actions & ACTIONS_THAT_KILL) != 0 || oom_killed(phase))
        return false;
    return !phase->reported || phase->exited == phase->signaled;
}

static bool left_something(const struct phase_evidence *phase)
{
    return phase->ran && (!phase->group_empty || phase->survivors > 0);
}

bool verdict_phase_passed(const struct phase_evidence *phase)
{
    return phase->ran && !evidence_missing(phase) && !left_something(phase) && !oom_killed(phase) &&
           phase->actions == 0 && !cpu_over(phase) && !wall_over(phase) && !output_cut(phase) &&
           phase->exited && phase->exit_code == 0;
}

static bool cancelled(const struct evidence *ev, const struct phase_evidence *phase)
{
    (void)phase;
    return ((ev->compile.actions | ev->run.actions) & ACTION_KILL_CANCEL) != 0 &&
           !left_something(&ev->compile) && !left_something(&ev->run);
}

static bool setup_failed(const struct evidence *ev, const struct phase_evidence *phase)
{
    (void)phase;
    return !ev->setup_ok;
}

static bool missing(const struct evidence *ev, const struct phase_evidence *phase)
{
    return !phase->ran || evidence_missing(phase) ||
           (phase == &ev->compile && verdict_phase_passed(phase));
}

static bool not_cleaned_up(const struct evidence *ev, const struct phase_evidence *phase)
{
    (void)phase;
    return left_something(&ev->compile) || left_something(&ev->run);
}

/* A compiler that ends badly in whatever way is a compile error: the program never ran. */
static bool compile_failed(const struct evidence *ev, const struct phase_evidence *phase)
{
    return phase == &ev->compile && (phase->signaled || phase->exit_code != 0) &&
           (phase->actions & ACTION_KILL_SECCOMP) == 0;
}

static bool seccomp_ended(const struct phase_evidence *phase)
{
    return (phase->actions & ACTION_KILL_SECCOMP) != 0 ||
           (phase->signaled && phase->signal == SIGSYS);
}

bool verdict_rule_matches(enum verdict_rule rule, const struct evidence *ev)
{
    const struct phase_evidence *phase = evidence_phase(ev);
    switch (rule) {
#define RULE(name, match)                                                                          \
    case RULE_##name:                                                                              \
        return match;
#include "schemas/verdict_rules.def"
#undef RULE
    case RULE_COUNT:
        break;
    }
    return false;
}

enum cause verdict_rule_cause(enum verdict_rule rule)
{
    static const enum cause of[] = {
#define RULE(name, match) CAUSE_##name,
#include "schemas/verdict_rules.def"
#undef RULE
    };
    CHECK((unsigned)rule < RULE_COUNT);
    return of[rule];
}

static enum output_integrity integrity_of(const struct evidence *ev,
                                          const struct phase_evidence *phase)
{
    if (output_cut(phase))
        return OUTPUT_TRUNCATED_BY_JUDGE_LIMIT;
    for (size_t i = 0; i < COUNT_OF(ev->collection_errors); i++)
        if (strncmp(ev->collection_errors[i], "stdout", 6) == 0 ||
            strncmp(ev->collection_errors[i], "stderr", 6) == 0)
            return OUTPUT_WRITE_ERROR;
    if (!phase->exited && phase->stdout_bytes + phase->stderr_bytes > 0)
        return OUTPUT_CRASH_MID_WRITE;
    return OUTPUT_COMPLETE;
}

static enum verdict verdict_of(enum cause cause, enum taxonomy taxonomy)
{
    if (taxonomy == TAXONOMY_EXTENDED && cause == CAUSE_ple_cgroup_pids)
        return VERDICT_PLE;
    if (taxonomy == TAXONOMY_EXTENDED && cause == CAUSE_fse_limit_exceeded)
        return VERDICT_FSE;
    return causes[cause].verdict;
}

struct decision verdict_decide(const struct evidence *ev, enum taxonomy taxonomy)
{
    const struct phase_evidence *phase = evidence_phase(ev);
    enum verdict_rule rule = 0;
    while (rule < RULE_normal_exit && !verdict_rule_matches(rule, ev))
        rule++;

    enum cause cause = verdict_rule_cause(rule);
    struct decision out = {.verdict = verdict_of(cause, taxonomy),
                           .cause = cause,
                           .has_exit_code = phase->exited,
                           .has_signal = phase->signaled,
                           .exit_code = phase->exited ? phase->exit_code : 0,
                           .signal = phase->signaled ? phase->signal : 0,
                           .integrity = integrity_of(ev, phase)};
    if (cause == CAUSE_seccomp_violation) {
        out.has_exit_code = true;
        out.exit_code = EXIT_SIGSYS;
    }
    return out;
}

struct decision verdict_without_run(enum cause cause)
{
    CHECK((unsigned)cause < CAUSE_COUNT);
    return (struct decision){.verdict = causes[cause].verdict, .cause = cause};
}

const char *verdict_name(enum verdict verdict)
{
    CHECK((unsigned)verdict < VERDICT_COUNT);
    return verdict_names[verdict];
}

const char *verdict_job_status(enum verdict verdict)
{
    CHECK((unsigned)verdict < VERDICT_COUNT);
    return verdict_statuses[verdict];
}

const char *cause_name(enum cause cause)
{
    CHECK((unsigned)cause < CAUSE_COUNT);
    return causes[cause].name;
}

const char *cause_actor(enum cause cause)
{
    CHECK((unsigned)cause < CAUSE_COUNT);
    return causes[cause].actor;
}

const char *cause_message(enum cause cause)
{
    CHECK((unsigned)cause < CAUSE_COUNT);
    return causes[cause].message;
}

const char *output_integrity_name(enum output_integrity integrity)
{
    CHECK((unsigned)integrity < COUNT_OF(integrity_names));
    return integrity_names[integrity];
}

int verdict_find(struct span name, enum verdict *out)
{
    for (unsigned i = 0; i < VERDICT_COUNT; i++) {
        if (span_is(name, verdict_names[i])) {
            *out = (enum verdict)i;
            return 0;
        }
    }
    return -1;
}

int cause_find(struct span name, enum cause *out)
{
    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        if (span_is(name, causes[i].name)) {
            *out = (enum cause)i;
            return 0;
        }
    }
    return -1;
}
