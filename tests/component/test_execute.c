/* execute inside the real runtime, with bus and box in memory and a real keystore: every way a job
 * can end, deaths of the launcher and of the process, garbage, rebalance and shutdown. */
#include "lib/crypto/crypto.h"
#include "lib/metrics/metrics.h"
#include "tests/component/execute_bench.h"
#include <sys/stat.h>
#include <unistd.h>

static void a_job_runs_and_its_verdict_is_sealed(void **state)
{
    struct sample job = submit("print(1)");

    (void)state;
    turns(5);
    assert_non_null(box_memory_find("print(1)"));
    assert_int_equal(box_memory_find("print(1)")->run.cpu_ms, 4000);
    assert_int_equal(bus_memory_count(TOPIC_progress), 1);
    assert_false(everything_committed());
    run_until_committed();
    expect_verdict(&job, CAUSE_normal_exit);
    close_runtime();
}

static void only_a_job_that_runs_for_a_while_is_told(void **state)
{
    (void)state;
    submit("print(1)");
    turns(5);
    assert_int_equal(bus_memory_count(TOPIC_progress), 1); /* that this process works */
    assert_true(box_memory_finish("print(1)", 0));
    submit("print(2)");
    turns(2);
    assert_true(box_memory_finish("print(2)", 0));
    submit("print(3)");
    turns(2);
    hurry_ns += 29 * 1000000;
    turns(20);
    assert_int_equal(bus_memory_count(TOPIC_progress), 2);
    assert_non_null(box_memory_find("print(3)"));
    run_until_committed();
    close_runtime();
}

static void many_jobs_of_many_projects_all_end_once(void **state)
{
    struct sample jobs[200];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        jobs[i] = sample("many", (uint8_t)(1 + i % 3), i % 2 ? LANE_BATCH : LANE_INTERACTIVE);
        write_job(&jobs[i]);
    }
    run_until_committed();
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        expect_verdict(&jobs[i], CAUSE_normal_exit);
    assert_int_equal(box_memory_most_running(), 2);
    close_runtime();
}

/* While the slots have work enough the first verdicts wait for others of their slice of time. */
static void verdicts_of_a_slice_travel_together(void **state)
{
    struct sample jobs[24];
    int64_t now_ms = wall(NULL) / 1000000;
    size_t most = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        jobs[i] = sample("many", 1, LANE_INTERACTIVE);
        jobs[i].id = uuid_v7_at(now_ms, &rnd);
        write_job(&jobs[i]);
    }
    for (int i = 0; i < 1000 && bus_memory_count(TOPIC_verdicts) < COUNT_OF(jobs); i++) {
        size_t before = bus_memory_count(TOPIC_verdicts);
        box_memory_finish_all();
        turns(1);
        size_t more = bus_memory_count(TOPIC_verdicts) - before;
        most = more > most ? more : most;
    }
    assert_true(most > 2); /* there are two slots */
    run_until_committed();
    for (size_t i = 0; i < COUNT_OF(jobs); i++)
        expect_verdict(&jobs[i], CAUSE_normal_exit);
    close_runtime();
}

static void a_launchers_death_loses_and_blames_nobody(void **state)
{
    struct sample a = submit("a"), b = submit("b"), c = submit("c");

    (void)state;
    turns(5);
    assert_int_equal(box_memory_running(), 2);
    box_memory_die();
    turns(30);
    assert_int_equal(box_memory_running(), 1); /* suspects run alone */
    run_until_committed();
    expect_verdict(&a, CAUSE_normal_exit);
    expect_verdict(&b, CAUSE_normal_exit);
    expect_verdict(&c, CAUSE_normal_exit);
    close_runtime();
}

static void a_poison_is_closed_after_three_lonely_deaths(void **state)
{
    struct sample poison = submit("poison"), innocent = submit("innocent"), later = submit("later");

    (void)state;
    for (int i = 0; i < 3000 && !everything_committed(); i++) {
        runtime_turn(rt, 4);
        if (box_memory_find("poison"))
            box_memory_die();
        else if (i % 3 == 0)
            box_memory_finish_all();
    }
    assert_true(everything_committed());
    expect_verdict(&poison, CAUSE_ie_poison);
    expect_verdict(&innocent, CAUSE_normal_exit);
    expect_verdict(&later, CAUSE_normal_exit);
    assert_int_equal(box_memory_started("poison"), 4); /* with others, then three times alone */
    close_runtime();
}

/* kill -9: what an orderly end writes to the journal is cut off again. */
static void killed_process(void)
{
    char path[256];
    struct stat before_end;

    snprintf(path, sizeof path, "%s/journal/test-1.journal", dir);
    assert_int_equal(stat(path, &before_end), 0);
    runtime_close(rt);
    assert_int_equal(truncate(path, before_end.st_size), 0);
    open_runtime();
}

static void a_poison_that_kills_the_process_is_found_by_the_journal(void **state)
{
    struct sample poison = submit("poison"), innocent = submit("innocent");

    (void)state;
    for (int deaths = 0; deaths < 8 && !everything_committed(); deaths++)
        for (int i = 0; i < 500 && !everything_committed(); i++) {
            runtime_turn(rt, 4);
            if (box_memory_find("poison")) {
                killed_process();
                break;
            }
            if (i % 3 == 2)
                box_memory_finish_all();
        }
    run_until_committed();
    expect_verdict(&poison, CAUSE_ie_poison);
    expect_verdict(&innocent, CAUSE_normal_exit);
    assert_int_equal(box_memory_started("poison"), 4);
    close_runtime();
}

static void a_launcher_that_hangs_is_given_up(void **state)
{
    struct sample job = submit("slow");

    (void)state;
    turns(5);
    assert_int_equal(box_memory_started("slow"), 1);
    hurry_ns = INT64_C(21000000000); /* below 7 s of wall limit + 15 s */
    turns(5);
    assert_int_equal(box_memory_started("slow"), 1);
    hurry_ns = INT64_C(23000000000);
    turns(40);
    assert_int_equal(box_memory_started("slow"), 2);
    run_until_committed();
    expect_verdict(&job, CAUSE_normal_exit);
    close_runtime();
}

static void a_launcher_that_is_away_is_waited_for(void **state)
{
    struct sample job;

    (void)state;
    box_memory_away(true);
    job = submit("patient");
    turns(20);
    assert_true(runtime_ready(rt));
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    box_memory_away(false);
    run_until_committed();
    expect_verdict(&job, CAUSE_normal_exit);
    close_runtime();
}

static void an_erased_submission_ends_without_a_verdict(void **state)
{
    struct sample job = sample("erased", 9, LANE_INTERACTIVE), other = submit("kept");
    struct key_id key;

    (void)state;
    write_job(&job);
    assert_ok(keystore_current(keys, &job.project, 30, uuid_day(&job.id), &key, &err), err);
    assert_ok(keystore_destroy_key(keys, &key, &err), err);
    run_until_committed();
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 1);
    expect_verdict(&other, CAUSE_normal_exit);
    assert_int_equal(box_memory_started("erased"), 0);
    close_runtime();
}

static void erased_while_it_ran_leaves_no_verdict(void **state)
{
    struct sample job = sample("running", 8, LANE_INTERACTIVE);
    struct key_id key;

    (void)state;
    write_job(&job);
    turns(5);
    assert_int_equal(box_memory_running(), 1);
    assert_ok(keystore_current(keys, &job.project, 30, uuid_day(&job.id), &key, &err), err);
    assert_ok(keystore_destroy_key(keys, &key, &err), err);
    run_until_committed();
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    close_runtime();
}

static void unreadable_values_are_closed_as_such(void **state)
{
    struct sample jobs[3];
    char *large = calloc(1, RECORD_BYTES_MAX);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        jobs[i] = sample("unreadable", 1, LANE_BATCH);
        jobs[i].replace_value = true;
    }
    jobs[0].value = SPAN_LIT("");
    jobs[1].value = SPAN_LIT("garbage that nobody sealed, long enough for a nonce and a tag");
    jobs[2].value = span_of(large, RECORD_BYTES_MAX);
    for (size_t i = 0; i < 3; i++)
        write_job(&jobs[i]);
    run_until_committed();
    for (size_t i = 0; i < 3; i++)
        expect_verdict(&jobs[i], CAUSE_ie_unreadable);
    close_runtime();
    free(large);
}

static void a_missing_toolchain_closes_its_language_alone(void **state)
{
    struct sample missing = sample("rust", 1, LANE_INTERACTIVE), there;

    (void)state;
    box_memory_languages(1U << LANGUAGE_python);
    missing.language = LANGUAGE_rust;
    write_job(&missing);
    there = submit("python");
    run_until_committed();
    expect_verdict(&missing, CAUSE_ie_language_unavailable);
    expect_verdict(&there, CAUSE_normal_exit);
    close_runtime();
}

static void garbage_goes_to_dead_and_stops_nothing(void **state)
{
    struct bus_header many[40],
        wrong[] = {{"type", SPAN_LIT("job/1")}, {"id", SPAN_LIT("x")}},
        twice[] = {{"type", SPAN_LIT("job/1")}, {"type", SPAN_LIT("job/1")}};
    struct sample job;
    const struct record *dead;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(many); i++)
        many[i] = (struct bus_header){"x", SPAN_LIT("\xff\0y")};
    bus_memory_append(TOPIC_jobs_interactive, 0, SPAN_LIT(""), NULL, 0, SPAN_LIT(""));
    bus_memory_append(TOPIC_jobs_interactive, 5, SPAN_LIT("k"), many, COUNT_OF(many),
                      SPAN_LIT("v"));
    bus_memory_append(TOPIC_jobs_batch, 0, SPAN_LIT("k"), wrong, 2, SPAN_LIT("v"));
    bus_memory_append(TOPIC_jobs_batch, 1, SPAN_LIT("k"), twice, 2, SPAN_LIT("v"));
    job = submit("after");
    run_until_committed();
    assert_int_equal(bus_memory_count(TOPIC_dead), 4);
    dead = bus_memory_get(TOPIC_dead, 2);
    assert_true(span_is(dead->value, "v"));
    assert_string_equal(dead->headers[2].name, "dead-why");
    expect_verdict(&job, CAUSE_normal_exit);
    close_runtime();
}

static void forge_unsigned(struct envelope *env, struct span *value)
{
    (void)value;
    env->is_signed = false;
    env->signer[0] = '\0';
}

static void forge_signature(struct envelope *env, struct span *value)
{
    (void)value;
    env->signature[31] ^= 1;
}

static void forge_gateway(struct envelope *env, struct span *value)
{
    assert_ok(signing_sign(&signing, "gateway", *value, env, &err), err);
}

static void forge_execute(struct envelope *env, struct span *value)
{
    assert_ok(signing_sign(&signing, "execute", *value, env, &err), err);
}

static void forge_digest(struct envelope *env, struct span *value)
{
    sha256(*value = SPAN_LIT("garbage"), env->digest);
}

static void forge_value(struct envelope *env, struct span *value)
{
    (void)env;
    *value = SPAN_LIT("garbage under true headers");
}

static void forge_empty(struct envelope *env, struct span *value)
{
    (void)env;
    *value = SPAN_LIT("");
}

static void forge_project(struct envelope *env, struct span *value)
{
    (void)value;
    env->project.bytes[0] = 0x77; /* has no key directory: would be waited for */
}

static void forge_lane(struct envelope *env, struct span *value)
{
    (void)value;
    env->lane = LANE_BATCH;
}

/* Whoever can reach the broker writes jobs of an id that is open; the real one follows. */
static void forged_jobs_change_nothing(void **state)
{
    static void (*const forgeries[])(struct envelope *, struct span *) = {
        forge_unsigned, forge_signature, forge_gateway, forge_execute, forge_digest,
        forge_value,    forge_empty,     forge_project, forge_lane};
    struct sample job = sample("real", 1, LANE_INTERACTIVE);

    (void)state;
    metrics_reset();
    for (size_t i = 0; i < COUNT_OF(forgeries); i++) {
        job.forge = forgeries[i];
        write_job(&job);
    }
    job.forge = NULL;
    write_job(&job);
    run_until_committed();
    assert_int_equal(bus_memory_count(TOPIC_dead), COUNT_OF(forgeries));
    assert_int_equal(metric_value(METRIC_forged_total, "jobs.interactive") +
                         metric_value(METRIC_forged_total, "jobs.batch"),
                     COUNT_OF(forgeries));
    assert_int_equal(box_memory_started("real"), 1);
    expect_verdict(&job, CAUSE_normal_exit);
    close_runtime();
}

static void a_job_that_is_there_twice_never_runs_beside_itself(void **state)
{
    struct sample job = sample("twin", 1, LANE_INTERACTIVE);

    (void)state;
    write_job(&job);
    write_job(&job);
    turns(5);
    assert_int_equal(box_memory_running(), 1);
    run_until_committed();
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 2); /* the second changes nothing */
    close_runtime();
}

static void a_rebalance_in_the_middle_runs_again_and_answers_once(void **state)
{
    struct sample job = submit("moved"), waiting[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        waiting[i] = submit("waiting");
    turns(5);
    assert_int_equal(box_memory_running(), 2);
    bus_memory_rebalance(false);
    turns(5);
    run_until_committed();
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 4);
    expect_verdict(&job, CAUSE_normal_exit);
    for (size_t i = 0; i < 3; i++)
        expect_verdict(&waiting[i], CAUSE_normal_exit);
    close_runtime();
}

static void a_stop_finishes_what_runs_and_leaves_the_rest(void **state)
{
    struct sample jobs[5];

    (void)state;
    for (size_t i = 0; i < 5; i++)
        jobs[i] = submit("stop");
    turns(5);
    runtime_stop(rt);
    turns(5);
    box_memory_finish_all();
    close_runtime();
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 2);
    assert_int_equal(box_memory_started("stop"), 2);
    open_runtime();
    run_until_committed();
    assert_true(bus_memory_count(TOPIC_verdicts) >= 5);
    for (size_t i = 0; i < 5; i++) {
        struct result *result = calloc(1, sizeof *result);
        struct arena arena;
        arena_init(&arena, 1 << 20);
        assert_true(verdicts_of(&jobs[i].id, result, &arena) >= 1);
        arena_done(&arena);
        free(result);
    }
    close_runtime();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, before)
    const struct CMUnitTest tests[] = {
        TEST(a_job_runs_and_its_verdict_is_sealed),
        TEST(only_a_job_that_runs_for_a_while_is_told),
        TEST(many_jobs_of_many_projects_all_end_once),
        TEST(verdicts_of_a_slice_travel_together),
        TEST(a_launchers_death_loses_and_blames_nobody),
        TEST(a_poison_is_closed_after_three_lonely_deaths),
        TEST(a_poison_that_kills_the_process_is_found_by_the_journal),
        TEST(a_launcher_that_hangs_is_given_up),
        TEST(a_launcher_that_is_away_is_waited_for),
        TEST(an_erased_submission_ends_without_a_verdict),
        TEST(erased_while_it_ran_leaves_no_verdict),
        TEST(unreadable_values_are_closed_as_such),
        TEST(a_missing_toolchain_closes_its_language_alone),
        TEST(garbage_goes_to_dead_and_stops_nothing),
        TEST(forged_jobs_change_nothing),
        TEST(a_job_that_is_there_twice_never_runs_beside_itself),
        TEST(a_rebalance_in_the_middle_runs_again_and_answers_once),
        TEST(a_stop_finishes_what_runs_and_leaves_the_rest),
    };
    if (execute_bench_open())
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    execute_bench_close();
    return failed;
}
