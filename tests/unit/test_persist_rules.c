/* Decisions of persist: what a verdict record is, what is charged, which event it makes; and when a
 * day lies outside its class's window. */
#include "unit.h"

#include "consumers/days.h"
#include "consumers/persist_rules.h"

static struct envelope verdict_env(void)
{
    struct rnd rnd = rnd_seeded(7);
    return (struct envelope){.type = RECORD_verdict,
                             .version = 1,
                             .id = uuid_v7_at(INT64_C(1795464000000), &rnd),
                             .retention_class = 30};
}

static void judges_before_opening(void **state)
{
    (void)state;
    struct envelope env = verdict_env();
    int32_t home = envelope_partition(&env, TOPIC_verdicts);
    struct span value = SPAN_LIT("sealed");
    const char *why = NULL;
    assert_int_equal(persist_judge(&env, true, home, value, &why), PERSIST_STORE);
    assert_int_equal(persist_judge(&env, true, home, span_of(NULL, 0), &why), PERSIST_ERASED);
    assert_int_equal(persist_judge(&env, true, home + 1, value, &why), PERSIST_DEAD);
    assert_non_null(why);
    assert_int_equal(persist_judge(&env, false, home, value, &why), PERSIST_DEAD);
    env.type = RECORD_job;
    assert_int_equal(persist_judge(&env, true, home, value, &why), PERSIST_DEAD);
    env.type = RECORD_probe;
    assert_int_equal(persist_judge(&env, true, home + 1, value, &why), PERSIST_IGNORE);
    env.type = RECORD_COUNT;
    assert_int_equal(persist_judge(&env, false, home, value, &why), PERSIST_DEAD);
}

static void judges_after_opening(void **state)
{
    (void)state;
    const char *why = NULL;
    assert_int_equal(persist_opened(ERR_NONE, &why), PERSIST_STORE);
    assert_int_equal(persist_opened(ERR_ERASED, &why), PERSIST_ERASED);
    assert_null(why);
    assert_int_equal(persist_opened(ERR_CORRUPT, &why), PERSIST_DEAD);
    assert_non_null(why);
    assert_int_equal(persist_opened(ERR_INVALID, &why), PERSIST_DEAD);
}

/* Sums per project and day, always in the order in which rows are locked. */
static void charges_in_order(void **state)
{
    (void)state;
    struct uuid a = {{1}}, b = {{2}};
    struct charge charges[8];
    size_t count = 0;
    count = persist_charge(charges, count, &b, 5, 10);
    count = persist_charge(charges, count, &a, 6, 1);
    count = persist_charge(charges, count, &a, 5, 2);
    count = persist_charge(charges, count, &b, 5, 30);
    count = persist_charge(charges, count, &a, 4, 0); /* nothing used: no row */
    assert_int_equal(count, 3);
    assert_true(uuid_eq(&charges[0].project, &a) && charges[0].day == 5 && charges[0].cpu_ns == 2);
    assert_true(uuid_eq(&charges[1].project, &a) && charges[1].day == 6 && charges[1].cpu_ns == 1);
    assert_true(uuid_eq(&charges[2].project, &b) && charges[2].day == 5 && charges[2].cpu_ns == 40);
}

static void events_by_job_status(void **state)
{
    (void)state;
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        assert_string_equal(persist_event((enum verdict)v),
                            v == VERDICT_IE ? "submission.failed" : "submission.completed");
}

static void windows_end_with_the_last_record(void **state)
{
    (void)state;
    int64_t end =
        (int64_t)(100 + 1 + 7) * DAY_MS; /* a record of day 100, 23:59:59.999, plus 7 days */
    assert_false(days_outside(7, 100, end - 1));
    assert_true(days_outside(7, 100, end));
    assert_false(days_outside(30, 100, end));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_before_opening),
        cmocka_unit_test(judges_after_opening),
        cmocka_unit_test(charges_in_order),
        cmocka_unit_test(events_by_job_status),
        cmocka_unit_test(windows_end_with_the_last_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
