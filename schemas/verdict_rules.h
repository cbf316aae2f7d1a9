/* From measured evidence to a verdict: pure, no clock, no I/O, no allocation. The order of the
 * rules is the table of sandbox/README.md; the first that matches wins. Anyone who has the evidence
 * can apply them again and must get the same answer. */
#pragma once
#include "schemas/evidence.h"

enum verdict {
#define VERDICT(name, ...) VERDICT_##name,
#include "schemas/verdicts.def"
#undef VERDICT
    VERDICT_COUNT
};

enum cause {
#define CAUSE(name, ...) CAUSE_##name,
#include "schemas/causes.def"
#undef CAUSE
    CAUSE_COUNT
};

/* The rules in their order; each gives the cause of its name. */
enum verdict_rule {
#define RULE(name, ...) RULE_##name,
#include "schemas/verdict_rules.def"
#undef RULE
    RULE_COUNT
};

enum taxonomy { TAXONOMY_STANDARD, TAXONOMY_EXTENDED }; /* extended: PLE and FSE are verdicts */

enum output_integrity {
    OUTPUT_COMPLETE,
    OUTPUT_TRUNCATED_BY_JUDGE_LIMIT,
    OUTPUT_TRUNCATED_BY_PROGRAM_CLOSE,
    OUTPUT_CRASH_MID_WRITE,
    OUTPUT_WRITE_ERROR,
};

struct decision {
    enum verdict verdict;
    enum cause cause;
    bool has_exit_code, has_signal; /* else null in the result */
    int exit_code, signal;
    enum output_integrity integrity;
};

struct decision verdict_decide(const struct evidence *ev, enum taxonomy taxonomy);
/* One rule alone, whatever those before it say; verdict_decide takes the first that matches. */
bool verdict_rule_matches(enum verdict_rule rule, const struct evidence *ev);
enum cause verdict_rule_cause(enum verdict_rule rule);
/* The evidence that a rule looked at, for a person who wants to follow it. */
#define VERDICT_FIGURES_MAX 8
struct verdict_figure {
    const char *name;
    uint64_t value; /* flags are 0 or 1 */
};
size_t verdict_figures(enum verdict_rule rule, const struct evidence *ev,
                       struct verdict_figure out[VERDICT_FIGURES_MAX]);
/* True when the phase ended well by every rule: after a compile for which this holds, and only
 * then, the launcher starts the run. */
bool verdict_phase_passed(const struct phase_evidence *phase);
/* A verdict that no program run led to: rejections, poison, lost, unreadable, cancelled. */
struct decision verdict_without_run(enum cause cause);

const char *verdict_name(enum verdict verdict);
const char *verdict_job_status(enum verdict verdict); /* "completed" or "error" */
const char *cause_name(enum cause cause);
const char *cause_actor(enum cause cause);
const char *cause_message(enum cause cause); /* "" when the program is the cause */
const char *output_integrity_name(enum output_integrity integrity);
int verdict_find(struct span name, enum verdict *out) MUST_CHECK;
int cause_find(struct span name, enum cause *out) MUST_CHECK;
