/* result_check: a result body that anybody may have written. What holds, holds again in our own
 * spelling; what was decided again is what the rules say. */
#include "schemas/result_check.h"
#include "tests/fuzz/fuzz.h"

static void holds_again(const struct result_check *check)
{
    struct result_check again;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf body = {.max = 1 << 22};
    CHECK(result_body_of(&check->result, &check->result.id, &body, &err) == 0);
    CHECK(result_check(buf_span(&body), &again, &err) == 0);
    CHECK(!again.cut && !again.altered[0] && result_check_digest_holds(&again));
    CHECK(result_check_equal(&again) == result_check_equal(check));
    CHECK(!again.cases_uncovered && again.result.case_count == check->result.case_count);
    result_check_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result_check check;
    struct err err = {.code = ERR_NONE};
    if (result_check(span_of(data, size), &check, &err)) {
        CHECK(err.code != ERR_NONE && err.code != ERR_BUG);
    } else if (!check.open && !check.no_evidence) {
        CHECK(check.recomputed.verdict < VERDICT_COUNT && check.recomputed.cause < CAUSE_COUNT);
        CHECK(strnlen(check.altered, sizeof check.altered) < sizeof check.altered);
        if (!check.cut)
            holds_again(&check);
        struct verdict_figure figures[VERDICT_FIGURES_MAX];
        bool decided = false;
        enum cause cause = check.recomputed.cause; /* the checker's word needs a good end */
        if (check.has_cases && cause == CAUSE_wrong_answer)
            cause = CAUSE_normal_exit;
        for (enum verdict_rule rule = 0; rule < RULE_COUNT && check.result.has_evidence; rule++) {
            bool matches = verdict_rule_matches(rule, &check.result.evidence);
            CHECK(verdict_figures(rule, &check.result.evidence, figures) > 0);
            CHECK(decided || !matches || verdict_rule_cause(rule) == cause);
            decided = decided || matches;
        }
    }
    result_check_done(&check);
    return 0;
}
