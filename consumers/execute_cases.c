/* See execute_cases.h. */
#include "consumers/execute_cases.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include <stdio.h>
#include <stdlib.h>

#define EVIDENCE_BYTES_MAX (64 * 1024)

/* What is kept of one case until the verdict. */
struct kept {
    struct case_result result; /* its outputs point into `outputs` */
    char *outputs;
    char number[24]; /* its name when it was given none */
};

struct cases {
    struct submission sub;
    struct buf plain;
    struct arena arena;
    struct buf encoded; /* reused */
    struct kept *kept;
    struct case_result *results;
    bool built;
    size_t next, out, first_fail;
    size_t decisive; /* whose evidence is kept */
    struct evidence build, evidence;
};

struct cases *cases_new(const struct submission *sub, struct buf *plain, struct arena *arena)
{
    struct cases *cases = calloc(1, sizeof *cases);
    CHECK(cases != NULL);
    cases->sub = *sub;
    cases->plain = *plain;
    cases->arena = *arena;
    buf_init(plain, cases->plain.max);
    arena_init(arena, cases->arena.max);
    buf_init(&cases->encoded, EVIDENCE_BYTES_MAX);
    cases->first_fail = cases->decisive = CASE_NONE;
    cases->kept = calloc(sub->case_count, sizeof *cases->kept);
    cases->results = calloc(sub->case_count, sizeof *cases->results);
    CHECK(cases->kept != NULL && cases->results != NULL);
    for (size_t i = 0; i < sub->case_count; i++) {
        struct kept *kept = &cases->kept[i];
        snprintf(kept->number, sizeof kept->number, "%zu", i + 1);
        kept->result.name =
            sub->cases[i].name.len > 0 ? sub->cases[i].name : span_text(kept->number);
    }
    return cases;
}

void cases_free(struct cases *cases)
{
    if (!cases)
        return;
    for (size_t i = 0; i < cases->sub.case_count; i++) {
        const struct case_result *result = &cases->kept[i].result;
        if (cases->kept[i].outputs)
            wipe(cases->kept[i].outputs, result->out.len + result->errout.len);
        free(cases->kept[i].outputs);
    }
    free(cases->kept);
    free(cases->results);
    buf_done(&cases->encoded);
    wipe_buf(&cases->plain);
    arena_done(&cases->arena);
    free(cases);
}

const struct submission *cases_submission(const struct cases *cases)
{
    return &cases->sub;
}

void cases_built(struct cases *cases, const struct evidence *build)
{
    cases->built = true;
    cases->build = *build;
}

/* They are started in order, so that what is behind the first failure was started after it. */
size_t cases_next(const struct cases *cases)
{
    bool stopped = cases->sub.stop_on_fail && cases->first_fail != CASE_NONE;
    return cases->built && !stopped && cases->next < cases->sub.case_count ? cases->next
                                                                           : CASE_NONE;
}

bool cases_more(const struct cases *cases)
{
    return !cases->built || cases_next(cases) != CASE_NONE;
}

void cases_started(struct cases *cases, size_t index)
{
    CHECK(index == cases->next);
    cases->next++;
    cases->out++;
}

bool cases_unwanted(const struct cases *cases, size_t index)
{
    return cases->sub.stop_on_fail && cases->first_fail != CASE_NONE && index > cases->first_fail;
}

bool cases_over(const struct cases *cases)
{
    return cases->built && cases->out == 0 && cases_next(cases) == CASE_NONE;
}

static struct decision judge(const struct cases *cases, size_t index,
                             const struct box_report *report)
{
    const struct test_case *one = &cases->sub.cases[index];
    struct decision decision = verdict_decide(&report->evidence, TAXONOMY_STANDARD);
    if (decision.verdict != VERDICT_AC || !one->has_expected ||
        checker_accepts(&one->checker, one->expected, report->out))
        return decision;
    decision.verdict = VERDICT_WA;
    decision.cause = CAUSE_wrong_answer;
    return decision;
}

/* Both outputs in one block, no more of each than can ever be told. */
static void keep_outputs(struct kept *kept, const struct box_report *report)
{
    size_t out = report->out.len < CASE_OUTPUT_MAX ? report->out.len : CASE_OUTPUT_MAX;
    size_t errors = report->errout.len < CASE_OUTPUT_MAX ? report->errout.len : CASE_OUTPUT_MAX;
    kept->outputs = malloc(out + errors + 1);
    CHECK(kept->outputs != NULL);
    if (out > 0)
        memcpy(kept->outputs, report->out.data, out);
    if (errors > 0)
        memcpy(kept->outputs + out, report->errout.data, errors);
    kept->result.out = span_of(kept->outputs, out);
    kept->result.errout = span_of(kept->outputs + out, errors);
}

/* The evidence of the first failure, and until there is one of the first case. */
static void keep_evidence(struct cases *cases, size_t index, bool failed, const struct evidence *ev)
{
    bool first = failed && (cases->first_fail == CASE_NONE || index < cases->first_fail);
    if (first || (cases->first_fail == CASE_NONE && index < cases->decisive)) {
        cases->evidence = *ev;
        cases->decisive = index;
    }
    if (first)
        cases->first_fail = index;
}

int cases_take(struct cases *cases, size_t index, const struct box_report *report, struct err *err)
{
    struct kept *kept = &cases->kept[index];
    struct case_result *result = &kept->result;
    const struct evidence *ev = &report->evidence;
    const struct phase_evidence *run = &ev->run;
    CHECK(index < cases->next && cases->out > 0 && !result->ran);
    cases->out--;
    if (cases_unwanted(cases, index))
        return 0;
    result->ran = true;
    result->verdict = judge(cases, index, report);
    result->cpu_ns = run->cpu_ns;
    result->wall_ns = run->wall_ns;
    result->memory_peak_bytes = run->memory_peak_bytes;
    result->stdout_bytes = run->stdout_bytes;
    result->stderr_bytes = run->stderr_bytes;
    result->ns_pid = ev->ns_pid;
    result->ns_mnt = ev->ns_mnt;
    keep_outputs(kept, report);
    keep_evidence(cases, index, result->verdict.verdict != VERDICT_AC, ev);
    buf_clear(&cases->encoded);
    if (evidence_encode(ev, &cases->encoded, err) < 0)
        return -1;
    sha256(buf_span(&cases->encoded), result->evidence_sha256);
    return 0;
}

const struct case_result *cases_results(struct cases *cases, size_t *count)
{
    size_t left = CASES_OUTPUT_MAX;
    for (size_t i = 0; i < cases->sub.case_count; i++) {
        struct case_result *result = &cases->results[i];
        *result = cases->kept[i].result;
        if (!result->ran || cases_unwanted(cases, i))
            *result = (struct case_result){.name = result->name};
        case_cut(result, &left);
    }
    *count = cases->sub.case_count;
    return cases->results;
}

struct decision cases_decide(const struct cases *cases, struct evidence *ev)
{
    CHECK(cases->decisive != CASE_NONE);
    *ev = cases->evidence;
    ev->compile = cases->build.compile;
    memcpy(ev->compile_cache, cases->build.compile_cache, sizeof ev->compile_cache);
    return cases->kept[cases->decisive].result.verdict;
}
