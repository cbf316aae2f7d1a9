/* Attempts to get out of the sandbox, one program and one job each: attempt.h says where they come
 * from, canary.h what they are after.
 *
 *   test_escape               against all layers: every attempt must end with its verdict and
 *                             its event, no canary touched, the secret in no output
 *   test_escape --layers-off  the same attempts, each against a launcher without the layers that
 *                             stop it: there it must succeed, else it proves nothing; and those
 *                             that Landlock stops, with every other layer of theirs left off
 * Python's attempts are made twice: in a sandbox of their own from the start, and in a fork of the
 * template, which the evidence must name (but where the pid namespace or the view is left off,
 * there are no forks: the helper would enter another root than the init's; and they have the
 * template's environment). RUSTBOX_ESCAPE=text
 * runs only those whose name contains it. A table goes to stdout. */
#include "lib/base/cleanup.h"
#include "sandbox/landlock.h"
#include "sandbox/template.h"
#include "tests/escape/attempt.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <unistd.h>

static struct canary canary;
static struct attempt attempts[ATTEMPTS_MAX];
static size_t attempt_count;

struct outcome {
    bool ran, claimed, leaked, in_fork;
    const char *touched;
    struct decision decision;
    char event[32];
    char text[400]; /* why it did not run, or the compiler's words */
};

static bool holds_text(struct span where, const char *text)
{
    return where.len > 0 && memmem(where.data, where.len, text, strlen(text)) != NULL;
}

/* Waits until the launcher has its template: a moment after its start. */
static void await_template(struct box_fixture *box)
{
    for (int i = 0; i < 200; i++) {
        struct box_report report;
        struct box_job job = box_fixture_job(LANGUAGE_python, "pass\n");
        box_fixture_run(box, &job, &report);
        bool in_fork = strcmp(report.evidence.tier, "template") == 0;
        box_report_done(&report);
        if (in_fork)
            return;
        usleep(50000);
    }
    fail_msg("no template became ready in 200 runs");
}

/* How often an attempt is made: the second time in a fork. */
static int times_of(const struct attempt *attempt, const char *layers_off)
{
    bool forks = template_built() && attempt->language == LANGUAGE_python;
    bool needed = layers_off && (strstr(layers_off, "pid") || strstr(layers_off, "view") ||
                                 strcmp(layers_off, "env") == 0);
    return forks && !needed ? 2 : 1;
}

static struct outcome run_once(struct box_fixture *box, const struct attempt *attempt, bool in_fork,
                               uint8_t project)
{
    struct box_report report;
    struct box_file files[ATTEMPT_FILES_MAX];
    AUTO_FREE char *code = attempt_program(attempt, &canary);
    size_t file_count = attempt_files(code, files);
    struct box_job job = box_fixture_job(attempt->language, code);
    job.project.bytes[0] = project; /* 0: none, nothing is kept for it */
    job.files = files;
    job.file_count = file_count;
    if (attempt->cpu_ms)
        job.run.cpu_ms = attempt->cpu_ms;
    if (attempt->wall_ms)
        job.run.wall_ms = attempt->wall_ms;
    job.high_assurance = !in_fork;
    if (in_fork)
        await_template(box);
    box_fixture_run(box, &job, &report);
    const struct evidence *ev = &report.evidence;
    if (in_fork != (strcmp(ev->tier, "template") == 0))
        fail_msg("%s ran %s: %s", attempt->name, ev->tier, ev->setup_error);
    struct outcome outcome = {.in_fork = in_fork,
                              .ran = ev->setup_ok,
                              .claimed = holds_text(report.out, "ESCAPED"),
                              .leaked = holds_text(report.out, canary.secret) ||
                                        holds_text(report.errout, canary.secret),
                              .touched = canary_touched(&canary),
                              .decision = verdict_decide(ev, TAXONOMY_STANDARD)};
    if (evidence_phase(ev)->seccomp_count > 0)
        snprintf(outcome.event, sizeof outcome.event, "%s", evidence_phase(ev)->seccomp[0].name);
    snprintf(outcome.text, sizeof outcome.text, "%s %.*s", ev->setup_error,
             (int)(report.errout.len < 300 ? report.errout.len : 300),
             (const char *)report.errout.data);
    box_report_done(&report);
    return outcome;
}

static bool as_wanted(const struct attempt *attempt, const struct outcome *outcome)
{
    return outcome->ran && outcome->decision.verdict == attempt->verdict &&
           outcome->decision.cause == attempt->cause &&
           (!attempt->check_event || strcmp(outcome->event, attempt->event) == 0);
}

/* Once, or as one job after the other until one of them gets out. */
static struct outcome run(struct box_fixture *box, const struct attempt *attempt, bool in_fork)
{
    struct outcome outcome = {0};
    for (uint64_t i = 1; i <= attempt->runs; i++) {
        uint8_t project = attempt->runs == 1 ? 0 : i < attempt->runs ? 1 : 2;
        outcome = run_once(box, attempt, in_fork, project);
        if (!as_wanted(attempt, &outcome) || outcome.claimed || outcome.touched)
            break;
    }
    return outcome;
}

static const char *reached(const struct attempt *attempt, const struct outcome *outcome)
{
    if (outcome->claimed)
        return "its own claim";
    if (outcome->leaked)
        return "the secret";
    if (attempt->by_verdict && outcome->decision.cause != attempt->cause)
        return cause_name(outcome->decision.cause);
    return outcome->touched;
}

static bool selected(const struct attempt *attempt)
{
    const char *only = getenv("RUSTBOX_ESCAPE");
    return !only || strstr(attempt->name, only);
}

static void print_row(const struct attempt *attempt, const struct outcome *outcome, const char *got,
                      bool fine)
{
    printf("%-4s %s%-30s %-10s %-22s %-4s %-22s %s\n", fine ? "ok" : "FAIL",
           outcome->in_fork ? "fork: " : "", attempt->name, language_name(attempt->language),
           attempt->layers, verdict_name(outcome->decision.verdict),
           cause_name(outcome->decision.cause), got ? got : "canaries untouched");
    if (!fine)
        printf("     wanted %s %s%s%s; %s\n", verdict_name(attempt->verdict),
               cause_name(attempt->cause), attempt->event[0] ? " event " : "", attempt->event,
               outcome->text);
}

static bool holds(struct box_fixture *box, const struct attempt *attempt, bool in_fork)
{
    struct outcome outcome = run(box, attempt, in_fork);
    const char *got = reached(attempt, &outcome);
    bool fine = !got && as_wanted(attempt, &outcome);
    print_row(attempt, &outcome, got, fine);
    if (outcome.touched)
        canary_restore(&canary);
    return fine;
}

static void test_holds(void **state)
{
    (void)state;
    struct box_fixture box;
    size_t held = 0, failed = 0, forks = 0;
    unsigned languages = 0;
    box_fixture_start(&box, NULL);
    for (size_t i = 0; i < attempt_count; i++) {
        const struct attempt *attempt = &attempts[i];
        if (!selected(attempt))
            continue;
        for (int time = 0; time < times_of(attempt, NULL); time++) {
            bool fine = holds(&box, attempt, time > 0);
            held += fine;
            failed += !fine;
            forks += time > 0;
        }
        languages |= 1u << attempt->language;
    }
    box_fixture_stop(&box);
    printf("%zu attempts in %d languages held, %zu of them in forks of a template, %zu failed\n",
           held, __builtin_popcount(languages), forks, failed);
    assert_int_equal(failed, 0);
}

/* A launcher without the layers of a list like "seccomp,caps". The second wall, Landlock, is off
 * with any of them. */
static void start_without(struct box_fixture *box, const char *layers, bool also_landlock)
{
    static char names[6][16];
    const char *extra[16] = {"--permissive", "--disable-layer", "landlock"};
    size_t count = also_landlock ? 3 : 1, n = 0;
    extra[count] = NULL;
    for (const char *at = layers; *at && n < COUNT_OF(names); n++) {
        size_t len = strcspn(at, ",");
        snprintf(names[n], sizeof names[n], "%.*s", (int)len, at);
        extra[count++] = "--disable-layer";
        extra[count++] = names[n];
        at += len + (at[len] == ',');
    }
    box_fixture_start(box, extra);
}

static void run_without(const char *layers, size_t first, size_t *proven, size_t *failed)
{
    struct box_fixture box;
    start_without(&box, layers, strncmp(layers, "landlock,", strlen("landlock,")) != 0);
    for (size_t i = first; i < attempt_count; i++) {
        const struct attempt *attempt = &attempts[i];
        if (strcmp(attempt->layers, layers) != 0 || !selected(attempt))
            continue;
        for (int time = 0; time < times_of(attempt, layers); time++) {
            struct outcome outcome = run(&box, attempt, time > 0);
            const char *got = reached(attempt, &outcome);
            bool fine = got && (outcome.ran || attempt->by_verdict);
            print_row(attempt, &outcome, got, fine);
            *proven += fine;
            *failed += !fine;
            if (outcome.touched)
                canary_restore(&canary);
        }
    }
    box_fixture_stop(&box);
}

static void test_layers_off(void **state)
{
    (void)state;
    size_t proven = 0, failed = 0, always = 0;
    for (size_t i = 0; i < attempt_count; i++) {
        bool done = !selected(&attempts[i]);
        for (size_t j = 0; j < i && !done; j++)
            done = selected(&attempts[j]) && strcmp(attempts[j].layers, attempts[i].layers) == 0;
        if (selected(&attempts[i]) && !attempts[i].switchable)
            always++;
        else if (!done)
            run_without(attempts[i].layers, i, &proven, &failed);
    }
    printf("%zu attempts succeed without their layer, %zu do not; %zu have none to leave off\n",
           proven, failed, always);
    assert_int_equal(failed, 0);
}

/* Landlock alone: all else that stops these attempts is off. */
static void test_second_wall(void **state)
{
    (void)state;
    int abi = landlock_abi();
    size_t held = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < attempt_count; i++) {
        const struct attempt *attempt = &attempts[i];
        const char *others = attempt->layers + strlen("landlock,");
        if (strncmp(attempt->layers, "landlock,", strlen("landlock,")) != 0 || !selected(attempt))
            continue;
        if ((uint64_t)abi < attempt->landlock_abi) {
            printf("skipped: %s needs ABI %llu of Landlock, the kernel has %d\n", attempt->name,
                   (unsigned long long)attempt->landlock_abi, abi);
            skipped++;
            continue;
        }
        struct box_fixture box;
        start_without(&box, others, false);
        struct outcome outcome = run(&box, attempt, false);
        const char *got = reached(attempt, &outcome);
        box_fixture_stop(&box);
        print_row(attempt, &outcome, got, outcome.ran && !got);
        held += outcome.ran && !got;
        failed += !outcome.ran || got;
        if (outcome.touched)
            canary_restore(&canary);
    }
    printf("%zu attempts held by Landlock alone, %zu not, %zu skipped\n", held, failed, skipped);
    assert_int_equal(failed, 0);
    assert_true(held > 0 || abi == 0 || getenv("RUSTBOX_ESCAPE"));
}

/* A required layer is off: no start without --permissive, and the message names control and
 * remedy. With it, every verdict's evidence says so. */
static void test_start_refused(void **state)
{
    (void)state;
    static const struct {
        const char *layer, *text;
        enum control control;
    } rows[] = {
        {"network", "network_namespace is not in force: use a kernel", CONTROL_network_namespace},
        {"seccomp", "seccomp_filter is not in force: use a kernel with CONFIG_SECCOMP_FILTER",
         CONTROL_seccomp_filter},
        {"memory", "memory_limit is not in force: mount the memory", CONTROL_memory_limit},
        {"readonly", "readonly_root is not in force: run the launcher as root",
         CONTROL_readonly_root},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[4096];
        struct box_fixture weak = {.state = ""};
        box_fixture_start(
            &weak, (const char *const[]){"--permissive", "--disable-layer", rows[i].layer, NULL});
        struct box_report report;
        struct box_job job = box_fixture_job(LANGUAGE_c, "int main(void) { return 0; }\n");
        box_fixture_run(&weak, &job, &report);
        bool marked = report.evidence.permissive && weak.info.permissive &&
                      (report.evidence.controls_missing & (1u << rows[i].control)) != 0 &&
                      (report.evidence.controls_applied & (1u << rows[i].control)) == 0;
        box_report_done(&report);
        const char *extra[] = {"--disable-layer", rows[i].layer, NULL};
        int status = box_fixture_check(&weak, extra, text, sizeof text);
        box_fixture_stop(&weak);
        if (!marked)
            fail_msg("%s off: the evidence does not say so", rows[i].layer);
        assert_int_equal(status, 1);
        if (!strstr(text, rows[i].text) || !strstr(text, "--permissive runs without it"))
            fail_msg("%s off: %s", rows[i].layer, text);
    }
}

static int start(void **state)
{
    (void)state;
    canary_make(&canary);
    setenv("RUSTBOX_CANARY", canary.secret, 1); /* the launcher's environment */
    attempt_count = attempts_load(attempts);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    attempts_done(attempts, attempt_count);
    canary_remove(&canary);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest on[] = {cmocka_unit_test(test_holds)};
    static const struct CMUnitTest off[] = {cmocka_unit_test(test_layers_off),
                                            cmocka_unit_test(test_second_wall),
                                            cmocka_unit_test(test_start_refused)};
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: the launcher makes namespaces and mounts, run as root\n");
        return 77;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--layers-off") == 0)
        return cmocka_run_group_tests(off, start, stop);
    return cmocka_run_group_tests(on, start, stop);
}
