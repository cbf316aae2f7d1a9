/* execute inside the real runtime (execute_bench.h): submissions with cases, each a flight of its
 * own. */
#include "tests/component/execute_bench.h"

/* The box in memory has each case as "CODE/STDIN". */
static const struct test_case five[] = {{.stdin_data = SPAN_LIT("0")},
                                        {.stdin_data = SPAN_LIT("1")},
                                        {.stdin_data = SPAN_LIT("2")},
                                        {.stdin_data = SPAN_LIT("3")},
                                        {.stdin_data = SPAN_LIT("4")}};

static struct sample with_cases(const char *code, uint8_t project, bool stop_on_fail)
{
    struct sample job = sample(code, project, LANE_INTERACTIVE);

    job.cases = five;
    job.case_count = COUNT_OF(five);
    job.stop_on_fail = stop_on_fail;
    write_job(&job);
    turns(5);
    return job;
}

/* The build is through. */
static void built(const char *code)
{
    assert_int_equal(box_memory_running(), 1);
    assert_true(box_memory_finish(code, 0));
    turns(5);
}

/* `wants`: one letter a case: exit code 0 to 9, or - for passed over. */
static void expect_cases(const struct sample *job, enum cause cause, const char *wants)
{
    struct result *result = calloc(1, sizeof *result);
    struct arena arena;
    char got[2 * COUNT_OF(five)] = "";

    arena_init(&arena, 64 << 20);
    assert_int_equal(verdicts_of(&job->id, result, &arena), 1);
    assert_int_equal(result->case_count, COUNT_OF(five));
    for (size_t i = 0; i < result->case_count; i++) {
        const struct case_result *one = &result->cases[i];
        char text[64];
        got[i] = one->ran ? (char)('0' + one->verdict.exit_code) : '-';
        snprintf(text, sizeof text, "%s/%zu", job->code, i);
        assert_true(!one->ran || span_is(one->out, text));
    }
    if (result->verdict.cause != cause || strcmp(got, wants) != 0)
        fail_msg("%s %s, wanted is %s %s", cause_name(result->verdict.cause), got,
                 cause_name(cause), wants);
    arena_done(&arena);
    free(result);
}

static void cases_run_in_all_slots_and_end_as_one(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, false);
    built("c");
    assert_int_equal(box_memory_built(), 1);
    assert_int_equal(box_memory_running(), 2);
    assert_non_null(box_memory_find("c/0"));
    assert_non_null(box_memory_find("c/1"));
    assert_false(everything_committed());
    run_until_committed();
    expect_cases(&job, CAUSE_normal_exit, "00000");
    turns(5);
    assert_int_equal(box_memory_built(), 0);
    assert_int_equal(box_memory_started("c"), 1);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 1);
    assert_int_equal(bus_memory_count(TOPIC_progress), 1);
    close_runtime();
}

static void the_first_failure_in_order_decides_whichever_ends_first(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, false);
    built("c");
    assert_true(box_memory_finish("c/1", 1));
    turns(5);
    assert_true(box_memory_finish("c/0", 2));
    turns(5);
    run_until_committed();
    expect_cases(&job, CAUSE_re_nonzero_exit, "21000");
    close_runtime();
}

static void stop_on_fail_starts_nothing_behind_and_tells_nothing_behind(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, true);
    built("c");
    assert_true(box_memory_finish("c/1", 1));
    turns(5);
    assert_int_equal(box_memory_running(), 1); /* what lies before still decides */
    assert_true(box_memory_finish("c/0", 0));
    turns(70); /* longer than the pause between two commits */
    assert_true(everything_committed());
    expect_cases(&job, CAUSE_re_nonzero_exit, "01---");
    assert_int_equal(box_memory_started("c/2"), 0);

    job = with_cases("d", 1, true);
    built("d");
    assert_true(box_memory_finish("d/0", 3)); /* the other is cancelled, and was never asked */
    turns(70);                                /* longer than the pause between two commits */
    assert_true(everything_committed());
    expect_cases(&job, CAUSE_re_nonzero_exit, "3----");
    close_runtime();
}

static void a_failed_build_passes_over_every_case(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, false);
    assert_true(box_memory_finish("c", 1));
    turns(70); /* longer than the pause between two commits */
    assert_true(everything_committed());
    expect_cases(&job, CAUSE_compile_error, "-----");
    turns(5);
    assert_int_equal(box_memory_built(), 0);
    close_runtime();
}

static void a_launchers_death_between_cases_begins_again(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, false);
    built("c");
    assert_true(box_memory_finish("c/0", 0));
    turns(5);
    box_memory_die();
    turns(30);
    assert_int_equal(box_memory_running(), 1); /* the build, alone */
    built("c");
    assert_int_equal(box_memory_running(), 1); /* a suspect's cases run alone too */
    run_until_committed();
    expect_cases(&job, CAUSE_normal_exit, "00000");
    assert_int_equal(box_memory_started("c"), 2);
    close_runtime();
}

static void a_poisonous_case_is_closed_after_three_lonely_deaths(void **state)
{
    (void)state;
    struct sample poison = with_cases("poison", 1, false), other = submit("innocent");
    for (int i = 0; i < 5000 && !everything_committed(); i++) {
        runtime_turn(rt, 4);
        if (box_memory_find("poison/3"))
            box_memory_die();
        else if (i % 3 == 0)
            box_memory_finish_all();
    }
    assert_true(everything_committed());
    expect_verdict(&poison, CAUSE_ie_poison);
    expect_verdict(&other, CAUSE_normal_exit);
    assert_int_equal(box_memory_started("poison/3"), 4);
    close_runtime();
}

static void erased_between_cases_leaves_no_verdict(void **state)
{
    struct key_id key;

    (void)state;
    struct sample job = with_cases("c", 7, false);
    built("c");
    assert_ok(keystore_current(keys, &job.project, 30, uuid_day(&job.id), &key, &err), err);
    assert_ok(keystore_destroy_key(keys, &key, &err), err);
    run_until_committed();
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    assert_int_equal(box_memory_started("c/2"), 0);
    turns(5);
    assert_int_equal(box_memory_built(), 0);
    close_runtime();
}

static void a_rebalance_between_cases_runs_them_again_and_answers_once(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, false);
    built("c");
    assert_true(box_memory_finish("c/0", 0));
    turns(5);
    bus_memory_rebalance(false);
    run_until_committed();
    expect_cases(&job, CAUSE_normal_exit, "00000");
    turns(5);
    assert_int_equal(box_memory_built(), 0);
    close_runtime();
}

static void a_stop_between_cases_leaves_them_to_the_next(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, false);
    built("c");
    runtime_stop(rt);
    close_runtime();
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    open_runtime();
    turns(5);
    built("c"); /* nobody is a suspect: both slots */
    assert_int_equal(box_memory_running(), 2);
    run_until_committed();
    expect_cases(&job, CAUSE_normal_exit, "00000");
    close_runtime();
}

static void another_projects_job_comes_between_cases(void **state)
{
    (void)state;
    struct sample job = with_cases("c", 1, false), other;
    built("c");
    other = sample("other", 2, LANE_INTERACTIVE);
    write_job(&other);
    turns(5);
    assert_null(box_memory_find("other")); /* both slots are taken */
    assert_true(box_memory_finish("c/0", 0));
    turns(5);
    assert_non_null(box_memory_find("other"));
    assert_null(box_memory_find("c/2"));
    run_until_committed();
    expect_cases(&job, CAUSE_normal_exit, "00000");
    expect_verdict(&other, CAUSE_normal_exit);
    close_runtime();
}

static void no_more_than_a_few_are_built_at_the_same_time(void **state)
{
    struct sample jobs[20];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        jobs[i] = with_cases("c", (uint8_t)(1 + i), false);
    for (int i = 0; i < 3000 && !everything_committed(); i++) {
        box_memory_finish_all();
        runtime_turn(rt, 4);
        assert_true(box_memory_built() <= 5); /* one may be on its way out */
    }
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        expect_cases(&jobs[i], CAUSE_normal_exit, "00000");
    close_runtime();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, before)
    const struct CMUnitTest tests[] = {
        TEST(cases_run_in_all_slots_and_end_as_one),
        TEST(the_first_failure_in_order_decides_whichever_ends_first),
        TEST(stop_on_fail_starts_nothing_behind_and_tells_nothing_behind),
        TEST(a_failed_build_passes_over_every_case),
        TEST(a_launchers_death_between_cases_begins_again),
        TEST(a_poisonous_case_is_closed_after_three_lonely_deaths),
        TEST(erased_between_cases_leaves_no_verdict),
        TEST(a_rebalance_between_cases_runs_them_again_and_answers_once),
        TEST(a_stop_between_cases_leaves_them_to_the_next),
        TEST(another_projects_job_comes_between_cases),
        TEST(no_more_than_a_few_are_built_at_the_same_time),
    };
    if (execute_bench_open())
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    execute_bench_close();
    return failed;
}
