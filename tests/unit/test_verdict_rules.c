/* schemas/verdict_rules: every row of the table, and the order wherever two rows could match. */
#include "schemas/verdict_rules.h"
#include "tests/unit/unit.h"
#include <signal.h>

#define MS UINT64_C(1000000)

static struct phase_evidence clean_phase(void)
{
    return (struct phase_evidence){
        .ran = true,
        .reported = true,
        .exited = true,
        .limits = {.memory_bytes = 256 << 20, .cpu_ms = 4000, .wall_ms = 7000, .processes = 10},
        .cpu_ns = 20 * MS,
        .wall_ns = 30 * MS,
        .pids_peak = 1,
        .pids_max = 10,
        .group_empty = true,
    };
}

static struct evidence clean(void)
{
    return (struct evidence){.setup_ok = true, .run = clean_phase()};
}

static struct evidence compiling(void)
{
    return (struct evidence){.setup_ok = true, .compile = clean_phase()};
}

static struct evidence exited(int code)
{
    struct evidence ev = clean();
    ev.run.exit_code = code;
    return ev;
}

static struct evidence killed(int signal)
{
    struct evidence ev = clean();
    ev.run.exited = false;
    ev.run.signaled = true;
    ev.run.signal = signal;
    return ev;
}

static struct decision expect_in(const struct evidence *ev, enum taxonomy taxonomy,
                                 enum verdict verdict, enum cause cause)
{
    struct decision got = verdict_decide(ev, taxonomy);
    if (got.verdict != verdict || got.cause != cause)
        fail_msg("expected %s %s, got %s %s", verdict_name(verdict), cause_name(cause),
                 verdict_name(got.verdict), cause_name(got.cause));
    return got;
}

static struct decision expect(const struct evidence *ev, enum verdict verdict, enum cause cause)
{
    return expect_in(ev, TAXONOMY_STANDARD, verdict, cause);
}

static void normal_exit(void **state)
{
    (void)state;
    struct evidence ev = clean();
    struct decision got = expect(&ev, VERDICT_AC, CAUSE_normal_exit);
    assert_true(got.has_exit_code);
    assert_int_equal(got.exit_code, 0);
    assert_false(got.has_signal);
    assert_int_equal(got.integrity, OUTPUT_COMPLETE);
    ev.compile = clean_phase();
    expect(&ev, VERDICT_AC, CAUSE_normal_exit);
    /* a full memory group, a process limit reached and denied calls harm nobody who exits 0 */
    ev.run.memory_peak_bytes = ev.run.limits.memory_bytes;
    ev.run.oom_events = 3;
    ev.run.pids_peak = 10;
    ev.run.pids_denied = 4;
    ev.run.seccomp_count = 3;
    expect(&ev, VERDICT_AC, CAUSE_normal_exit);
}

static void nonzero_exit(void **state)
{
    (void)state;
    for (int code = 1; code < 256; code++) {
        struct evidence ev = exited(code);
        struct decision got = expect(&ev, VERDICT_RE, CAUSE_re_nonzero_exit);
        assert_int_equal(got.exit_code, code);
        assert_false(got.has_signal);
    }
    struct evidence ev = exited(1); /* EPERM seen, handled, left: its own decision */
    ev.run.seccomp_count = 2;
    expect(&ev, VERDICT_RE, CAUSE_re_nonzero_exit);
}

static void setup_failure(void **state)
{
    (void)state;
    struct evidence ev = clean();
    ev.setup_ok = false;
    expect(&ev, VERDICT_IE, CAUSE_ie_setup_failure);
    ev.run = (struct phase_evidence){0};
    struct decision got = expect(&ev, VERDICT_IE, CAUSE_ie_setup_failure);
    assert_false(got.has_exit_code);
    ev.compile = clean_phase(); /* the run's set-up failed after a good compile */
    expect(&ev, VERDICT_IE, CAUSE_ie_setup_failure);
    ev.run.oom_kills = 1;
    expect(&ev, VERDICT_IE, CAUSE_ie_setup_failure);
}

static void missing_evidence(void **state)
{
    (void)state;
    struct evidence ev = {.setup_ok = true};
    expect(&ev, VERDICT_IE, CAUSE_ie_missing_evidence);
    ev = exited(0);
    ev.run.reported = false; /* torn report: never exit 0 */
    expect(&ev, VERDICT_IE, CAUSE_ie_missing_evidence);
    ev = clean();
    ev.run.exited = false; /* neither exit nor signal */
    expect(&ev, VERDICT_IE, CAUSE_ie_missing_evidence);
    ev = clean();
    ev.run.signaled = true; /* both */
    expect(&ev, VERDICT_IE, CAUSE_ie_missing_evidence);
    ev = compiling(); /* a good compile and no run */
    expect(&ev, VERDICT_IE, CAUSE_ie_missing_evidence);
}

/* The judge's kill can end the init too: no bomb is an internal error for that. */
static void missing_report_explained(void **state)
{
    (void)state;
    static const struct {
        uint32_t action;
        enum verdict verdict;
        enum cause cause;
    } rows[] = {
        {ACTION_KILL_CPU, VERDICT_TLE, CAUSE_tle_cpu_judge},
        {ACTION_KILL_WALL, VERDICT_TLE, CAUSE_tle_wall_judge},
        {ACTION_KILL_OUTPUT, VERDICT_RE, CAUSE_output_limit_exceeded},
        {ACTION_KILL_OOM, VERDICT_MLE, CAUSE_mle_kernel_oom},
        {ACTION_KILL_SECCOMP, VERDICT_RE, CAUSE_seccomp_violation},
        {ACTION_KILL_CANCEL, VERDICT_IE, CAUSE_ie_cancelled},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct evidence ev = clean();
        ev.run.reported = ev.run.exited = false;
        ev.run.actions = rows[i].action;
        expect(&ev, rows[i].verdict, rows[i].cause);
    }
    struct evidence ev = clean();
    ev.run.reported = ev.run.exited = false;
    ev.run.oom_kills = 1;
    expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
}

static void survivors(void **state)
{
    (void)state;
    struct evidence ev = clean();
    ev.run.group_empty = false;
    expect(&ev, VERDICT_IE, CAUSE_ie_cleanup_failure);
    ev = clean();
    ev.run.survivors = 1;
    expect(&ev, VERDICT_IE, CAUSE_ie_cleanup_failure);
    ev.run.oom_kills = 1; /* before every verdict about the program */
    ev.run.actions = ACTION_KILL_WALL;
    expect(&ev, VERDICT_IE, CAUSE_ie_cleanup_failure);
    ev = clean(); /* of the compile as well */
    ev.compile = clean_phase();
    ev.compile.survivors = 1;
    expect(&ev, VERDICT_IE, CAUSE_ie_cleanup_failure);
}

static void cancelled(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGKILL);
    ev.run.actions = ACTION_KILL_CANCEL | ACTION_KILL_OOM;
    ev.run.oom_kills = 1;
    expect(&ev, VERDICT_IE, CAUSE_ie_cancelled);
    ev.run.survivors = 1;
    expect(&ev, VERDICT_IE, CAUSE_ie_cleanup_failure);
    ev = compiling();
    ev.compile.actions = ACTION_KILL_CANCEL;
    expect(&ev, VERDICT_IE, CAUSE_ie_cancelled);
    /* Before anything ran, also when the kill broke the set-up. */
    ev = (struct evidence){.setup_ok = true, .run.actions = ACTION_KILL_CANCEL};
    expect(&ev, VERDICT_IE, CAUSE_ie_cancelled);
    ev.setup_ok = false;
    expect(&ev, VERDICT_IE, CAUSE_ie_cancelled);
}

static void memory(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGKILL);
    ev.run.oom_kills = 1;
    struct decision got = expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
    assert_true(got.has_signal);
    assert_int_equal(got.signal, SIGKILL);
    assert_false(got.has_exit_code);
    ev = exited(0); /* a child was killed, the parent went on */
    ev.run.oom_kills = 1;
    got = expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
    assert_int_equal(got.exit_code, 0);
    ev = killed(SIGKILL); /* the judge was faster than the kernel */
    ev.run.actions = ACTION_KILL_OOM;
    expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
    ev.run.memory_peak_bytes = ev.run.limits.memory_bytes - 32768; /* the largest request refused */
    expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
    ev.run.memory_peak_bytes = ev.run.limits.memory_bytes / 2; /* its own limit was not the cause */
    expect(&ev, VERDICT_IE, CAUSE_ie_host_memory);
    ev.run.actions = 0;
    ev.run.oom_kills = 1;
    expect(&ev, VERDICT_IE, CAUSE_ie_host_memory);
    ev.run.memory_peak_bytes = 0; /* not measured: older kernels with v2 */
    expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
    /* before time, output and processes */
    ev.run.oom_kills = 1;
    ev.run.actions = ACTION_KILL_CPU | ACTION_KILL_WALL | ACTION_KILL_OUTPUT;
    ev.run.stdout_cut = true;
    ev.run.pids_denied = 5;
    expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
    ev = exited(1); /* events without a kill are none */
    ev.run.oom_events = 9;
    ev.run.memory_peak_bytes = ev.run.limits.memory_bytes;
    expect(&ev, VERDICT_RE, CAUSE_re_nonzero_exit);
}

static void cpu_time(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGKILL);
    ev.run.actions = ACTION_KILL_CPU;
    ev.run.cpu_ns = 4001 * MS;
    expect(&ev, VERDICT_TLE, CAUSE_tle_cpu_judge);
    ev.run.actions |= ACTION_KILL_WALL;
    expect(&ev, VERDICT_TLE, CAUSE_tle_cpu_judge);
    ev = exited(0); /* ended by itself, but the clock says over */
    ev.run.cpu_ns = 4000 * MS + 1;
    expect(&ev, VERDICT_TLE, CAUSE_tle_cpu_judge);
    ev.run.cpu_ns = 4000 * MS;
    expect(&ev, VERDICT_AC, CAUSE_normal_exit);
    ev = killed(SIGXCPU);
    ev.run.cpu_ns = 5000 * MS;
    expect(&ev, VERDICT_TLE, CAUSE_tle_cpu_kernel);
    ev = killed(SIGKILL); /* RLIMIT_CPU's hard limit */
    ev.run.cpu_ns = 5000 * MS;
    expect(&ev, VERDICT_TLE, CAUSE_tle_cpu_kernel);
    ev = killed(SIGXCPU); /* sent to itself */
    ev.run.cpu_ns = 10 * MS;
    expect(&ev, VERDICT_SIG, CAUSE_re_fatal_signal);
    ev = exited(0);
    ev.run.limits.cpu_ms = 0; /* no limit was set */
    ev.run.cpu_ns = UINT64_MAX;
    expect(&ev, VERDICT_AC, CAUSE_normal_exit);
    ev.run.limits.cpu_ms = UINT64_MAX;
    expect(&ev, VERDICT_AC, CAUSE_normal_exit);
}

static void wall_time(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGKILL);
    ev.run.actions = ACTION_KILL_WALL;
    struct decision got = expect(&ev, VERDICT_TLE, CAUSE_tle_wall_judge);
    assert_int_equal(got.signal, SIGKILL);
    ev = exited(0);
    ev.run.wall_ns = 7000 * MS + 1;
    expect(&ev, VERDICT_TLE, CAUSE_tle_wall_judge);
    ev.run.stdout_cut = true; /* before output, before processes */
    ev.run.exit_code = 1;
    ev.run.pids_denied = 1;
    expect(&ev, VERDICT_TLE, CAUSE_tle_wall_judge);
}

static void output(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGKILL);
    ev.run.actions = ACTION_KILL_OUTPUT;
    ev.run.stdout_cut = true;
    struct decision got = expect(&ev, VERDICT_RE, CAUSE_output_limit_exceeded);
    assert_int_equal(got.integrity, OUTPUT_TRUNCATED_BY_JUDGE_LIMIT);
    ev = exited(0); /* faster than the kill: over is over */
    ev.run.stderr_cut = true;
    got = expect(&ev, VERDICT_RE, CAUSE_output_limit_exceeded);
    assert_int_equal(got.integrity, OUTPUT_TRUNCATED_BY_JUDGE_LIMIT);
    ev = exited(2); /* go's dump at the thread limit */
    ev.run.pids_peak = 10;
    ev.run.stderr_cut = true;
    expect(&ev, VERDICT_RE, CAUSE_output_limit_exceeded);
    ev = killed(SIGXFSZ);
    ev.run.stdout_cut = true;
    expect(&ev, VERDICT_RE, CAUSE_output_limit_exceeded);
}

static void file_size(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGXFSZ);
    struct decision got = expect(&ev, VERDICT_SIG, CAUSE_fse_limit_exceeded);
    assert_int_equal(got.signal, SIGXFSZ);
    expect_in(&ev, TAXONOMY_EXTENDED, VERDICT_FSE, CAUSE_fse_limit_exceeded);
    ev.run.pids_denied = 1;
    expect_in(&ev, TAXONOMY_EXTENDED, VERDICT_FSE, CAUSE_fse_limit_exceeded);
}

static void process_limit(void **state)
{
    (void)state;
    struct evidence ev = exited(1);
    ev.run.pids_peak = ev.run.pids_max;
    struct decision got = expect(&ev, VERDICT_RE, CAUSE_ple_cgroup_pids);
    assert_int_equal(got.exit_code, 1);
    expect_in(&ev, TAXONOMY_EXTENDED, VERDICT_PLE, CAUSE_ple_cgroup_pids);
    ev = exited(1);
    ev.run.pids_denied = 1;
    expect(&ev, VERDICT_RE, CAUSE_ple_cgroup_pids);
    ev = exited(1);
    ev.run.pids_peak = ev.run.pids_max - 1;
    expect_in(&ev, TAXONOMY_EXTENDED, VERDICT_RE, CAUSE_re_nonzero_exit);
    ev = exited(1);
    ev.run.pids_max = ev.run.pids_peak = 0; /* not measured */
    expect(&ev, VERDICT_RE, CAUSE_re_nonzero_exit);
    ev = killed(SIGABRT);
    ev.run.pids_peak = ev.run.pids_max;
    expect(&ev, VERDICT_SIG, CAUSE_re_fatal_signal);
}

static void denied_calls(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGSYS);
    struct decision got = expect(&ev, VERDICT_RE, CAUSE_seccomp_violation);
    assert_true(got.has_exit_code);
    assert_int_equal(got.exit_code, 159);
    assert_int_equal(got.signal, SIGSYS);
    ev = killed(SIGKILL); /* flooding */
    ev.run.actions = ACTION_KILL_SECCOMP;
    ev.run.seccomp_count = 16;
    got = expect(&ev, VERDICT_RE, CAUSE_seccomp_violation);
    assert_int_equal(got.exit_code, 159);
    ev.run.actions |= ACTION_KILL_WALL;
    expect(&ev, VERDICT_TLE, CAUSE_tle_wall_judge);
    ev = killed(SIGSEGV); /* events, but another end */
    ev.run.seccomp_count = 3;
    expect(&ev, VERDICT_SIG, CAUSE_re_fatal_signal);
}

static void signals(void **state)
{
    (void)state;
    for (int signal = 1; signal < 65; signal++) {
        struct evidence ev = killed(signal);
        struct decision got = verdict_decide(&ev, TAXONOMY_STANDARD);
        assert_true(got.has_signal);
        assert_int_equal(got.signal, signal);
        if (signal == SIGSYS || signal == SIGXFSZ)
            continue;
        /* SIGKILL too: without an OOM count and a judge's action it was the program's own */
        expect(&ev, VERDICT_SIG, CAUSE_re_fatal_signal);
        assert_false(got.has_exit_code);
    }
}

static void compile_phase(void **state)
{
    (void)state;
    struct evidence ev = compiling();
    assert_true(verdict_phase_passed(&ev.compile));
    ev.compile.exit_code = 1;
    assert_false(verdict_phase_passed(&ev.compile));
    expect(&ev, VERDICT_RE, CAUSE_compile_error);
    ev.compile.pids_peak = ev.compile.pids_max; /* the compiler's threads are not the program's */
    expect_in(&ev, TAXONOMY_EXTENDED, VERDICT_RE, CAUSE_compile_error);
    ev.compile.oom_kills = 1; /* cc1 was killed, the driver exits 1 */
    expect(&ev, VERDICT_MLE, CAUSE_mle_kernel_oom);
    static const int ends[] = {SIGSEGV, SIGABRT, SIGXFSZ, SIGSYS, SIGKILL};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        ev = compiling();
        ev.compile.exited = false;
        ev.compile.signaled = true;
        ev.compile.signal = ends[i];
        struct decision got = expect(&ev, VERDICT_RE, CAUSE_compile_error);
        assert_int_equal(got.signal, ends[i]);
    }
    ev = compiling();
    ev.compile.actions = ACTION_KILL_CPU;
    expect(&ev, VERDICT_TLE, CAUSE_tle_cpu_judge);
    ev.compile.actions = ACTION_KILL_WALL;
    expect(&ev, VERDICT_TLE, CAUSE_tle_wall_judge);
    ev.compile.actions = ACTION_KILL_OUTPUT;
    expect(&ev, VERDICT_RE, CAUSE_output_limit_exceeded);
    ev.compile.actions = ACTION_KILL_SECCOMP;
    expect(&ev, VERDICT_RE, CAUSE_seccomp_violation);
}

/* Whatever stops a run from being AC stops the launcher from starting it after a compile. */
static void phase_passed_agrees(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1U << 10; bits++) {
        struct evidence ev = clean();
        struct phase_evidence *run = &ev.run;
        run->reported = !(bits & 1);
        run->exited = !(bits & 2);
        run->signaled = (bits & 4) != 0;
        run->exit_code = bits & 8 ? 1 : 0;
        run->oom_kills = bits & 16 ? 1 : 0;
        run->cpu_ns = bits & 32 ? 9000 * MS : 0;
        run->wall_ns = bits & 64 ? 9000 * MS : 0;
        run->stdout_cut = (bits & 128) != 0;
        run->group_empty = !(bits & 256);
        run->actions = bits & 512 ? ACTION_KILL_SECCOMP : 0;
        bool accepted = verdict_decide(&ev, TAXONOMY_EXTENDED).verdict == VERDICT_AC;
        assert_int_equal(verdict_phase_passed(run), accepted);
        assert_int_equal(accepted, bits == 0);
    }
    struct phase_evidence none = {.reported = true, .exited = true, .group_empty = true};
    assert_false(verdict_phase_passed(&none));
}

static void integrity(void **state)
{
    (void)state;
    struct evidence ev = killed(SIGSEGV);
    assert_int_equal(verdict_decide(&ev, TAXONOMY_STANDARD).integrity, OUTPUT_COMPLETE);
    ev.run.stdout_bytes = 1;
    assert_int_equal(verdict_decide(&ev, TAXONOMY_STANDARD).integrity, OUTPUT_CRASH_MID_WRITE);
    ev = exited(1);
    ev.run.stdout_bytes = 1;
    assert_int_equal(verdict_decide(&ev, TAXONOMY_STANDARD).integrity, OUTPUT_COMPLETE);
    snprintf(ev.collection_errors[3], sizeof ev.collection_errors[3], "%s", "stderr: read failed");
    assert_int_equal(verdict_decide(&ev, TAXONOMY_STANDARD).integrity, OUTPUT_WRITE_ERROR);
    snprintf(ev.collection_errors[3], sizeof ev.collection_errors[3], "%s",
             "cgroup: peak not read");
    assert_int_equal(verdict_decide(&ev, TAXONOMY_STANDARD).integrity, OUTPUT_COMPLETE);
}

/* What a person is told: up to the rule that decided, each with the figures that it looked at. */
static void rules_and_figures(void **state)
{
    (void)state;
    struct evidence ev = exited(7);
    struct verdict_figure figures[VERDICT_FIGURES_MAX];
    for (enum verdict_rule rule = 0; rule < RULE_COUNT; rule++) {
        assert_true(verdict_figures(rule, &ev, figures) > 0);
        assert_int_equal(verdict_rule_matches(rule, &ev), rule >= RULE_re_nonzero_exit);
    }
    assert_int_equal(verdict_figures(RULE_re_nonzero_exit, &ev, figures), 1);
    assert_string_equal(figures[0].name, "exit_code");
    assert_int_equal(figures[0].value, 7);
    assert_int_equal(verdict_rule_cause(RULE_re_nonzero_exit), CAUSE_re_nonzero_exit);
    ev.run.oom_kills = 2;
    assert_int_equal(verdict_figures(RULE_mle_kernel_oom, &ev, figures), 2);
    assert_int_equal(figures[0].value, 2);
}

static void tables(void **state)
{
    (void)state;
    enum verdict verdict;
    enum cause cause;
    for (unsigned i = 0; i < VERDICT_COUNT; i++) {
        assert_int_equal(verdict_find(span_text(verdict_name((enum verdict)i)), &verdict), 0);
        assert_int_equal(verdict, i);
        assert_string_equal(verdict_job_status(verdict), i == VERDICT_IE ? "error" : "completed");
    }
    for (unsigned i = 0; i < CAUSE_COUNT; i++) {
        assert_int_equal(cause_find(span_text(cause_name((enum cause)i)), &cause), 0);
        assert_int_equal(cause, i);
        struct decision none = verdict_without_run(cause);
        assert_int_equal(none.cause, i);
        assert_false(none.has_exit_code || none.has_signal);
        bool internal = none.verdict == VERDICT_IE;
        assert_int_equal(strncmp(cause_name(cause), "ie_", 3) == 0, internal);
        assert_int_equal(cause_message(cause)[0] != '\0', internal);
        const char *actor = cause_actor(cause);
        assert_true(!strcmp(actor, "judge") || !strcmp(actor, "kernel") ||
                    !strcmp(actor, "runtime"));
    }
    assert_int_equal(verdict_find(SPAN_LIT("ac"), &verdict), -1);
    assert_int_equal(cause_find(SPAN_LIT(""), &cause), -1);
    assert_string_equal(output_integrity_name(OUTPUT_CRASH_MID_WRITE), "crash_mid_write");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_exit),
        cmocka_unit_test(nonzero_exit),
        cmocka_unit_test(setup_failure),
        cmocka_unit_test(missing_evidence),
        cmocka_unit_test(missing_report_explained),
        cmocka_unit_test(survivors),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(memory),
        cmocka_unit_test(cpu_time),
        cmocka_unit_test(wall_time),
        cmocka_unit_test(output),
        cmocka_unit_test(file_size),
        cmocka_unit_test(process_limit),
        cmocka_unit_test(denied_calls),
        cmocka_unit_test(signals),
        cmocka_unit_test(compile_phase),
        cmocka_unit_test(phase_passed_agrees),
        cmocka_unit_test(integrity),
        cmocka_unit_test(rules_and_figures),
        cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests_name("verdict_rules", tests, NULL, NULL);
}
