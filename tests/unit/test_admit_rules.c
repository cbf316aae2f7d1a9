/* Decisions of admit: the order of reasons, budgets to the last one, what a stored row produces. */
#include "unit.h"

#include "consumers/admit_rules.h"

static struct counter room[12];
static struct budgets budgets = {room, 0, 12};

static struct admit_row decide(struct admit_case in)
{
    struct rnd rnd = rnd_seeded(3);
    struct envelope env = {.id = uuid_v7_at(INT64_C(1795464000000), &rnd)};
    struct admit_row row;
    admit_decide(&in, &env, &budgets, &row);
    return row;
}

/* Who owns a key depends on the log alone: the key is judged before faults and budgets. */
static void the_key_comes_before_the_faults(void **state)
{
    (void)state;
    struct key_record owner = {.owns = true};
    const struct plan *plan = plan_get(PLAN_unlimited);
    for (enum admit_finding finding = ADMIT_FINE; finding <= ADMIT_ERASED; finding++) {
        struct admit_case in = {finding, "x: y", true, KEY_REPEAT, &owner, plan};
        struct admit_row row = decide(in);
        bool forged = finding == ADMIT_FORGED;
        assert_int_equal(row.decision, forged ? DECISION_rejected : DECISION_alias);
        assert_int_equal(row.has_owner, !forged);
        in.key = KEY_CONFLICT;
        assert_int_equal(decide(in).decision, forged ? DECISION_rejected : DECISION_conflict);
        in.key = KEY_ERASED;
        assert_int_equal(decide(in).decision, forged ? DECISION_rejected : DECISION_erased);
        in.key = KEY_FREE;
        assert_int_equal(decide(in).owns, !forged); /* rejected, erased, unreadable own too */
    }
    struct admit_case unknown = {.finding = ADMIT_FINE};
    assert_int_equal(decide(unknown).cause, CAUSE_ie_rejected_invalid);
}

static void budgets_end_exactly(void **state)
{
    (void)state;
    struct uuid project = {{1}};
    const struct plan *plan = plan_get(PLAN_trial);
    char message[RESULT_MESSAGE_MAX];
    int32_t day = 20780;
    budgets.count = 0;
    budget_counter(&budgets, &project, day, COUNTER_requests)->used = plan->requests_day - 2;
    assert_true(budget_take(&budgets, &project, plan, day, message));
    assert_true(budget_take(&budgets, &project, plan, day, message));
    assert_false(budget_take(&budgets, &project, plan, day, message));
    assert_non_null(strstr(message, "UTC day"));
    assert_int_equal(budget_counter(&budgets, &project, day, COUNTER_requests)->added, 2);
    budget_counter(&budgets, &project, month_first(day), COUNTER_requests_month)->used =
        plan->requests_month;
    assert_false(budget_take(&budgets, &project, plan, day + 1, message));
    assert_non_null(strstr(message, "month"));
    budget_counter(&budgets, &project, day + 1, COUNTER_cpu_ns)->used =
        plan->cpu_seconds_day * 1000000000;
    assert_false(budget_take(&budgets, &project, plan, day + 1, message));
    assert_non_null(strstr(message, "cpu_seconds"));
}

static void only_the_own_record_produces(void **state)
{
    (void)state;
    static const enum admit_output outputs[DECISION_COUNT] = {
        [DECISION_admit] = OUTPUT_JOB,          [DECISION_rejected] = OUTPUT_VERDICT,
        [DECISION_cancelled] = OUTPUT_VERDICT,  [DECISION_erased] = OUTPUT_ERASED,
        [DECISION_unreadable] = OUTPUT_VERDICT, [DECISION_conflict] = OUTPUT_VERDICT};
    for (unsigned i = 0; i < DECISION_COUNT; i++) {
        struct admit_row row = {.decision = (enum admit_decision)i, .partition = 2, .offset = 9};
        assert_int_equal(admit_output_of(&row, 2, 9), outputs[i]);
        assert_int_equal(admit_output_of(&row, 2, 8), OUTPUT_NOTHING);
        assert_int_equal(admit_output_of(&row, 3, 9), OUTPUT_NOTHING);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_comes_before_the_faults),
        cmocka_unit_test(budgets_end_exactly),
        cmocka_unit_test(only_the_own_record_produces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
