/* execute inside the real runtime, with bus and box in memory and a real keystore: every way a job
 * can end, deaths of the launcher and of the process, garbage, rebalance and shutdown. */
#include "consumers/runtime/runtime.h"
#include "consumers/stage_util.h"
#include "consumers/stages.h"
#include "lib/crypto/crypto.h"
#include "lib/keystore/keystore.h"
#include "lib/metrics/metrics.h"
#include "schemas/result.h"
#include "schemas/submission.h"
#include "tests/support/box_memory.h"
#include "tests/support/bus_memory.h"
#include "tests/unit/unit.h"
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;
static struct config *config;
static struct keystore *keys;
static struct rnd rnd;
static struct signing signing;
static struct runtime *rt;
static char dir[] = "/tmp/rustbox-execute.XXXXXX";
static int64_t hurry_ns; /* the runtime's clock runs ahead by this much */

static int64_t wall(const struct clock *clock)
{
    (void)clock;
    return clock_system.wall_ns(&clock_system) + hurry_ns;
}

static int64_t mono(const struct clock *clock)
{
    (void)clock;
    return clock_system.mono_ns(&clock_system) + hurry_ns;
}

/* ---- a job in the log ---- */
struct sample {
    struct uuid id, project;
    const char *code;
    enum lane lane;
    enum language language;
    const struct test_case *cases;
    size_t case_count;
    bool stop_on_fail;
    struct span value; /* instead of the sealed submission */
    bool replace_value;
    void (*forge)(struct envelope *env, struct span *value); /* after it was signed */
};

static struct envelope envelope_of(const struct sample *sample, struct key_id *key)
{
    struct envelope env = {.type = RECORD_job,
                           .version = 1,
                           .id = sample->id,
                           .project = sample->project,
                           .retention_class = 30,
                           .language = sample->language,
                           .lane = sample->lane};

    assert_ok(keystore_current(keys, &sample->project, 30, uuid_day(&sample->id), key, &err), err);
    env.key_number = key->number;
    snprintf(env.origin, sizeof env.origin, "admit");
    snprintf(env.policy, sizeof env.policy, "1");
    env.times.received = env.times.produced = wall(NULL);
    return env;
}

static void write_job(const struct sample *sample)
{
    struct key_id key;
    struct envelope env = envelope_of(sample, &key);
    struct submission sub = {.language = sample->language,
                             .code = span_text(sample->code),
                             .cases = sample->cases,
                             .case_count = sample->case_count,
                             .stop_on_fail = sample->stop_on_fail};
    enum topic topic = sample->lane == LANE_BATCH ? TOPIC_jobs_batch : TOPIC_jobs_interactive;
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct arena arena;
    BUF_AUTO struct buf plain, sealed, aad;

    buf_init(&plain, RECORD_BYTES_MAX);
    buf_init(&sealed, RECORD_BYTES_MAX);
    buf_init(&aad, 256);
    arena_init(&arena, 1 << 20);
    envelope_aad(&env, RECORD_submission, &aad);
    assert_ok(submission_pack(&sub, &plain, &err), err);
    assert_ok(keystore_seal(keys, &key, &env.id, buf_span(&aad), buf_span(&plain), &sealed, &err),
              err);
    struct span value = sample->replace_value ? sample->value : buf_span(&sealed);
    assert_ok(signing_sign(&signing, "admit", value, &env, &err), err);
    if (sample->forge)
        sample->forge(&env, &value);
    size_t count = envelope_encode(&env, &arena, headers);
    assert_true(count > 0);
    bus_memory_append(topic, envelope_partition(&env, topic), SPAN_LIT("k"),
                      (const struct bus_header *)headers, count, value);
    arena_done(&arena);
}

static struct sample sample(const char *code, uint8_t project, enum lane lane)
{
    return (struct sample){.id = uuid_v7_at(wall(NULL) / 1000000, &rnd),
                           .project = {{project, 0, 0, 0, 0, 0, 0x70, 0, 0x80}},
                           .code = code,
                           .lane = lane,
                           .language = LANGUAGE_python};
}

static struct sample submit(const char *code)
{
    struct sample job = sample(code, 1, LANE_INTERACTIVE);

    write_job(&job);
    return job;
}

/* ---- what came of it ---- */
static size_t verdicts_of(const struct uuid *id, struct result *out, struct arena *arena)
{
    const struct record *rec;
    size_t count = 0;

    for (size_t i = 0; (rec = bus_memory_get(TOPIC_verdicts, i)); i++) {
        struct envelope env;
        bool has_id;
        BUF_AUTO struct buf plain;
        buf_init(&plain, RECORD_BYTES_MAX);
        assert_true(stage_envelope(rec, &env, &has_id));
        if (!uuid_eq(&env.id, id))
            continue;
        assert_int_equal(env.type, RECORD_verdict);
        assert_null(signing_distrust(&signing, TOPIC_verdicts, &env, &rec->value));
        assert_int_equal(rec->partition, envelope_partition(&env, TOPIC_verdicts));
        assert_ok(stage_open_value(keys, &env, RECORD_verdict, rec->value, &plain, &err), err);
        struct span kept = arena_copy(arena, buf_span(&plain));
        assert_ok(result_unpack(kept, arena, out, &err), err);
        count++;
    }
    return count;
}

static void expect_verdict(const struct sample *job, enum cause cause)
{
    struct result *result = calloc(1, sizeof *result);
    struct arena arena;

    arena_init(&arena, 64 << 20);
    assert_int_equal(verdicts_of(&job->id, result, &arena), 1);
    if (result->verdict.cause != cause)
        fail_msg("%s: %s, wanted is %s", job->code, cause_name(result->verdict.cause),
                 cause_name(cause));
    if (cause == CAUSE_normal_exit) {
        assert_true(span_is(result->out, job->code));
        assert_true(result->has_evidence);
        assert_true(result->times.dequeued > 0 && result->times.received > 0);
    }
    arena_done(&arena);
    free(result);
}

static bool everything_committed(void)
{
    static const enum topic topics[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch};
    struct bus_config none = {0};
    int64_t ends[24], committed[24];

    for (size_t t = 0; t < 2; t++) {
        const char *name = topic_spec(topics[t])->name;
        assert_ok(producer_end_offsets(NULL, name, 24, ends, 0, &err), err);
        assert_ok(bus_committed(&none, "", name, 24, committed, 0, &err), err);
        for (int p = 0; p < 24; p++)
            if (ends[p] > 0 && committed[p] != ends[p])
                return false;
    }
    return true;
}

/* ---- the frame ---- */
static void open_runtime(void)
{
    struct runtime_options options = {
        &execute_stage, config, "test-1", {wall, mono, 0, 0}, rnd_seeded(2)};

    assert_ok(runtime_open(&options, &rt, &err), err);
}

static void turns(int count)
{
    while (count-- > 0)
        runtime_turn(rt, 4);
}

static void run_until_committed(void)
{
    for (int i = 0; i < 3000 && !everything_committed(); i++) {
        box_memory_finish_all();
        runtime_turn(rt, 4);
    }
    assert_true(everything_committed());
}

static void close_runtime(void)
{
    runtime_stop(rt);
    for (int i = 0; i < 3000 && runtime_turn(rt, 4); i++)
        ;
    runtime_close(rt);
    assert_int_equal(bus_memory_open_records(), 0);
}

static int before(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/journal/test-1.journal", dir);
    unlink(path);
    bus_memory_reset();
    box_memory_reset(2);
    hurry_ns = 0;
    open_runtime();
    return 0;
}

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

/* ---- cases: the box in memory has each as "CODE/STDIN" ---- */
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
    turns(70); /* longer than the pause between two commits */
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

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, before)
    const struct CMUnitTest tests[] = {
        TEST(a_job_runs_and_its_verdict_is_sealed),
        TEST(only_a_job_that_runs_for_a_while_is_told),
        TEST(many_jobs_of_many_projects_all_end_once),
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
    char path[128];

    rnd = rnd_system();
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/keys", dir);
    mkdir(path, 0700);
    setenv("RUSTBOX_KEYSTORE_DIR", path, 1);
    if (keystore_open(path, KEYSTORE_CREATE, &rnd, &keys, &err) < 0)
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/journal", dir);
    mkdir(path, 0700);
    setenv("RUSTBOX_EXECUTE_JOURNAL_DIR", path, 1);
    snprintf(path, sizeof path, "%s/signing", dir);
    FILE *file = fopen(path, "wx");
    uint8_t secret[KEY_BYTES];
    memset(secret, 7, sizeof secret);
    if (!file || fwrite(secret, sizeof secret, 1, file) != 1 || fclose(file) || chmod(path, 0600))
        return 1;
    setenv("RUSTBOX_SECRETS_SIGNING_FILE", path, 1);
    signing_init(&signing, secret);
    if (config_load(NULL, &config, &err) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    keystore_close(keys);
    signing_done(&signing);
    config_free(config);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return failed;
}
