/* Thousands of jobs, and the launcher holds what it held before: control groups, mounts, processes,
 * descriptors (and with them namespaces, which only these can hold). In every way that a sandbox
 * comes about: cold, warm, a fork of the template, a binary from the cache. RUSTBOX_LEAK_JOBS=10000
 * is the long form. */
#include "sandbox/template.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <time.h>

#define JOBS 400

static struct box_fixture fixture;

static uint64_t jobs_wanted(void)
{
    const char *text = getenv("RUSTBOX_LEAK_JOBS");
    uint64_t jobs = JOBS;
    if (text)
        assert_int_equal(span_u64(span_text(text), &jobs), 0);
    return jobs;
}

static void run_in(enum language language, const char *code, const char *input, enum cause cause,
                   struct evidence *ev)
{
    struct box_report report;
    struct box_job job = box_fixture_job(language, code);
    job.stdin_data = span_text(input);
    box_fixture_run(&fixture, &job, &report);
    *ev = report.evidence;
    struct decision decision = verdict_decide(ev, TAXONOMY_STANDARD);
    if (decision.cause != cause)
        fail_msg("%s, expected %s; %s", cause_name(decision.cause), cause_name(cause),
                 ev->setup_error);
    if (cause == CAUSE_normal_exit && !span_eq(report.out, span_text(input)))
        fail_msg("stdout is \"%.*s\"", (int)report.out.len, (const char *)report.out.data);
    box_report_done(&report);
}

static void run_one(const char *code, const char *input, enum cause cause, struct evidence *ev)
{
    run_in(LANGUAGE_python, code, input, cause, ev);
}

static bool same(const struct box_leftovers *a, const struct box_leftovers *b)
{
    return a->groups == b->groups && a->mounts == b->mounts && a->children == b->children &&
           a->descriptors == b->descriptors;
}

/* What the launcher holds once it has stayed the same for 200 ms; hope: as soon as it is that. */
static struct box_leftovers at_rest(const struct box_leftovers *hope)
{
    struct box_leftovers last = {0}, now = {0};
    for (int tries = 0, calm = 0; tries < 1000 && calm < 20; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        now = box_fixture_leftovers(&fixture);
        calm = same(&now, &last) && (!hope || same(&now, hope)) ? calm + 1 : 0;
        last = now;
    }
    return now;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One way a sandbox comes about: the launcher's options, and the two programs (one repeats its
 * stdin, one dies of a signal) that take turns. */
struct way {
    const char *tier; /* of most of its jobs, "hit" = a compile found in the cache */
    enum language language;
    const char *extra[7], *echo, *ends;
};

#define PY_ECHO "import sys\nsys.stdout.write(sys.stdin.read())\n"
#define PY_ENDS "import os\nos.kill(os.getpid(), 9)\n"
static const struct way ways[] = {
    {"cold", LANGUAGE_python, {"--template", "python=0"}, PY_ECHO, PY_ENDS},
    {"warm",
     LANGUAGE_python,
     {"--template", "python=0", "--warm", "2", "--rest", "0"},
     PY_ECHO,
     PY_ENDS},
    {"template", LANGUAGE_python, {"--warm", "0"}, PY_ECHO, PY_ENDS},
    {"hit",
     LANGUAGE_c,
     {"--warm", "0"},
     "#include <stdio.h>\nint main(void) { int c; while ((c = getchar()) != EOF) putchar(c); }\n",
     "#include <stdlib.h>\nint main(void) { abort(); }\n"},
};

static void test_no_leak(void **state)
{
    const struct way *way = *state;
    struct evidence ev;
    uint64_t jobs = jobs_wanted(), as_meant = 0;
    double began = seconds_now();
    if (strcmp(way->tier, "template") == 0 && !template_built())
        return print_message("skipped: this launcher has no template of Python\n");
    box_fixture_start(&fixture, way->extra);
    run_in(way->language, way->echo, "", CAUSE_normal_exit, &ev);
    run_in(way->language, way->ends, "", CAUSE_re_fatal_signal, &ev);
    struct box_leftovers before = at_rest(NULL);
    for (uint64_t i = 0; i < jobs; i++) {
        bool dies = i % 8 == 7;
        run_in(way->language, dies ? way->ends : way->echo, "in",
               dies ? CAUSE_re_fatal_signal : CAUSE_normal_exit, &ev);
        as_meant += strcmp(ev.compile_cache, way->tier) == 0 || strcmp(ev.tier, way->tier) == 0;
    }
    struct box_leftovers after = at_rest(&before);
    print_message("%s: %llu jobs, %llu of that tier, %.1f s; groups %u, mounts %u, children %u, "
                  "descriptors %u\n",
                  way->tier, (unsigned long long)jobs, (unsigned long long)as_meant,
                  seconds_now() - began, after.groups, after.mounts, after.children,
                  after.descriptors);
    if (!same(&before, &after))
        fail_msg("before and after: groups %u %u, mounts %u %u, children %u %u, descriptors %u %u",
                 before.groups, after.groups, before.mounts, after.mounts, before.children,
                 after.children, before.descriptors, after.descriptors);
    /* Made ahead only while nothing runs, so the next job at once does not find one. */
    assert_true(as_meant > (strcmp(way->tier, "warm") == 0 ? 0 : jobs * 9 / 10));
    unsigned instance = box_fixture_instance(&fixture);
    box_fixture_stop(&fixture);
    assert_int_equal(box_fixture_groups(instance), 0);
}

/* A warm sandbox is the job's alone, and says what it is. */
static void test_tier(void **state)
{
    (void)state;
    static const char echo[] =
        "import sys\nopen('/tmp/left', 'x')\nsys.stdout.write(sys.stdin.read())\n";
    const char *const extra[] = {"--warm", "1", "--template", "python=0", NULL};
    struct evidence first, second, third;
    box_fixture_start(&fixture, extra);
    run_one(echo, "one", CAUSE_normal_exit, &first);
    assert_string_equal(first.tier, "cold");
    at_rest(NULL);
    run_one(echo, "two", CAUSE_normal_exit, &second);
    assert_string_equal(second.tier, "warm");
    at_rest(NULL);
    run_one(echo, "three", CAUSE_normal_exit, &third);
    assert_string_equal(third.tier, "warm");
    assert_true(second.controls_applied == first.controls_applied);
    assert_string_equal(second.filter_sha256, first.filter_sha256);
    assert_memory_equal(&second.run.limits, &first.run.limits, sizeof first.run.limits);
    /* Lower limits than those it was made with are set when its job is there, and hold. */
    at_rest(NULL);
    struct box_report report;
    struct box_job job =
        box_fixture_job(LANGUAGE_python, "import resource as r\n"
                                         "print(r.getrlimit(r.RLIMIT_CPU)[1],"
                                         " r.getrlimit(r.RLIMIT_FSIZE)[1],"
                                         " r.getrlimit(r.RLIMIT_NPROC)[1], flush=True)\n"
                                         "x = b'x' * (100 << 20)\n");
    job.run.memory_bytes = 64 << 20;
    job.run.cpu_ms = 1500;
    job.run.processes = 3;
    job.run.file_bytes = 5000;
    box_fixture_run(&fixture, &job, &report);
    assert_string_equal(report.evidence.tier, "warm");
    assert_true(report.evidence.controls_applied == first.controls_applied);
    assert_true(span_is(report.out, "3 5000 6\n"));
    assert_int_equal(report.evidence.run.limits.memory_bytes, 64 << 20);
    assert_int_equal(report.evidence.run.limits.processes, 3);
    assert_int_equal(report.evidence.run.limits.file_bytes, 5000);
    assert_int_equal(report.evidence.run.limits.cpu_ms, 1500);
    assert_int_equal(report.evidence.run.pids_max, 3);
    assert_int_equal(verdict_decide(&report.evidence, TAXONOMY_STANDARD).cause,
                     CAUSE_mle_kernel_oom);
    box_report_done(&report);
    /* What a submission cannot tighten is another kind of sandbox. */
    at_rest(NULL);
    job = box_fixture_job(LANGUAGE_python, "print()\n");
    job.run.open_files = 20;
    box_fixture_run(&fixture, &job, &report);
    assert_string_equal(report.evidence.tier, "cold");
    assert_int_equal(report.evidence.run.limits.open_files, 20);
    box_report_done(&report);
    /* Neither code nor stdin can be written in a warm one. */
    at_rest(NULL);
    static const char *const tries[] = {"open('/box/x', 'w')\n", "open('/box/main.py', 'a')\n",
                                        "open('/dev/stdin', 'a')\n", "open('/x', 'w')\n"};
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        run_one(tries[i], "in", CAUSE_re_nonzero_exit, &third);
        at_rest(NULL);
    }
    assert_string_equal(third.tier, "warm");
    /* Arguments and files come to it as late as its stdin. */
    static const struct box_file file = {SPAN_LIT("d/part.py"), SPAN_LIT("x = 5")};
    static const struct span arg = SPAN_LIT("arg");
    job = box_fixture_job(LANGUAGE_python,
                          "import sys, d.part\n"
                          "print(sys.argv[1:], d.part.x, open('d/part.py').read())\n");
    job.files = &file;
    job.args = &arg;
    job.file_count = job.arg_count = 1;
    box_fixture_run(&fixture, &job, &report);
    assert_string_equal(report.evidence.tier, "warm");
    assert_true(span_is(report.out, "['arg'] 5 x = 5\n"));
    box_report_done(&report);
    box_fixture_stop(&fixture);
}

/* Nothing is made ahead before no job ran for so long. */
static void test_rest(void **state)
{
    (void)state;
    const char *const extra[] = {"--warm", "1", "--rest", "60000", "--template", "python=0", NULL};
    struct evidence ev;
    box_fixture_start(&fixture, extra);
    for (int i = 0; i < 3; i++) {
        run_one(PY_ECHO, "in", CAUSE_normal_exit, &ev);
        assert_string_equal(ev.tier, "cold");
        at_rest(NULL);
    }
    box_fixture_stop(&fixture);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(ways) + 2] = {cmocka_unit_test(test_tier),
                                                   cmocka_unit_test(test_rest)};
    for (size_t i = 0; i < COUNT_OF(ways); i++)
        tests[i + 2] = (struct CMUnitTest){.name = ways[i].tier,
                                           .test_func = test_no_leak,
                                           .initial_state = (void *)(uintptr_t)&ways[i]};
    return _cmocka_run_group_tests("box_leaks", tests, COUNT_OF(tests), NULL, NULL);
}
