/* Sandboxes that stay for the next run of their program (sandbox/shelf.h): when they are kept, for
 * whom, how long, and what becomes of a run whose sandbox dies, does not answer or is not wanted.
 */
#include "lib/base/cleanup.h"
#include "sandbox/stay.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define INITS_MAX 64

static struct box_fixture fixture;

static struct box_job build(struct box *box, enum language language, const char *code, bool high)
{
    struct box_report report;
    struct err err;
    int got;
    struct box_job job = box_fixture_job(language, code);
    job.high_assurance = high;
    assert_ok(box_build(box, &job, &err), err);
    while ((got = box_next(box, &report, &err)) == 0)
        usleep(200);
    assert_true(got == 1 && box_built(language, &report.evidence));
    box_report_done(&report);
    return job;
}

static void start(struct box *box, const struct box_job *built)
{
    struct err err;
    struct box_job job = box_fixture_job(built->language, "");
    job.run = built->run;
    assert_ok(box_run_built(box, &built->id, &job, &err), err);
}

static struct evidence end(struct box *box)
{
    struct box_report report;
    struct err err;
    int got;
    while ((got = box_next(box, &report, &err)) == 0)
        usleep(200);
    if (got < 0)
        fail_msg("%s", err.message);
    struct evidence ev = report.evidence;
    struct decision decision = verdict_decide(&ev, TAXONOMY_STANDARD);
    if (decision.cause != CAUSE_normal_exit || !span_is(report.out, "hello\n"))
        fail_msg("%s: %s", cause_name(decision.cause), ev.setup_error);
    box_report_done(&report);
    return ev;
}

static struct evidence run(const struct box_job *built)
{
    start(fixture.box, built);
    return end(fixture.box);
}

static void release(const struct box_job *built)
{
    struct err err;
    assert_ok(box_release(fixture.box, &built->id, &err), err);
}

static const char hello[] = "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n";

/* The launcher's children that are inits, idle ones when nothing runs. */
static size_t inits(pid_t out[INITS_MAX])
{
    char path[64], name[16];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", fixture.pid, fixture.pid);
    FILE *list = fopen(path, "re");
    assert_non_null(list);
    for (int pid; count < INITS_MAX && fscanf(list, "%d", &pid) == 1;) {
        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        FILE *comm = fopen(path, "re");
        if (comm && fgets(name, sizeof name, comm) && strcmp(name, "init\n") == 0)
            out[count++] = pid;
        if (comm)
            fclose(comm);
    }
    fclose(list);
    return count;
}

static void await_inits(size_t wanted, int64_t within_ms)
{
    pid_t pids[INITS_MAX];
    size_t count = 0;
    for (int64_t waited = 0; waited <= within_ms; waited += 5) {
        if ((count = inits(pids)) == wanted)
            return;
        usleep(5000);
    }
    fail_msg("%zu sandboxes are there after %lld ms, not %zu", count, (long long)within_ms, wanted);
}

static void test_it_stays(void **state)
{
    (void)state;
    static const char *const codes[] = {hello, "print('hello')\n",
                                        "process.stdout.write('hello\\n')\n"};
    static const enum language languages[] = {LANGUAGE_c, LANGUAGE_python, LANGUAGE_javascript};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct box_job job = build(fixture.box, languages[i], codes[i], false);
        struct evidence first = run(&job), ev = first;
        assert_int_equal(first.sandbox_runs, 0);
        for (uint64_t n = 1; n < 12; n++) {
            ev = run(&job);
            assert_int_equal(ev.sandbox_runs, n);
            assert_true(ev.ns_pid == first.ns_pid && ev.ns_mnt == first.ns_mnt &&
                        ev.ns_net == first.ns_net && ev.ns_uts == first.ns_uts);
            assert_int_equal(ev.controls_applied, first.controls_applied);
            assert_int_equal(ev.controls_missing, first.controls_missing);
        }
        release(&job);
        await_inits(0, 2000);
    }
}

/* One at a time: what runs at the same time has sandboxes of its own, and so has what is built
 * twice, by one client or by two. */
static void test_for_nobody_else(void **state)
{
    (void)state;
    struct err err;
    struct box *box;
    struct box_info info;
    assert_ok(box_open(fixture.socket, 5000, &box, &info, &err), err);
    struct box_job job = build(fixture.box, LANGUAGE_c, hello, false);
    struct box_job other = build(box, LANGUAGE_c, hello, false);
    struct evidence mine = run(&job);
    start(fixture.box, &job);
    start(fixture.box, &job);
    struct evidence one = end(fixture.box), two = end(fixture.box);
    assert_true(one.ns_pid != two.ns_pid && one.ns_mnt != two.ns_mnt && one.ns_net != two.ns_net);
    assert_int_equal(one.sandbox_runs + two.sandbox_runs, 1);
    assert_true(one.ns_pid == mine.ns_pid || two.ns_pid == mine.ns_pid);
    start(box, &other);
    struct evidence theirs = end(box);
    assert_int_equal(theirs.sandbox_runs, 0);
    await_inits(3, 500);
    box_close(box); /* what it built goes, and mine stays */
    await_inits(2, 500);
    assert_int_equal(run(&job).sandbox_runs > 0, true);
    release(&job);
    await_inits(0, 2000);
}

static void test_never_with_assurance(void **state)
{
    (void)state;
    struct box_job job = build(fixture.box, LANGUAGE_c, hello, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(&job).sandbox_runs, 0);
        await_inits(0, 2000);
    }
    release(&job);
}

static void test_other_limits(void **state)
{
    (void)state;
    struct box_job job = build(fixture.box, LANGUAGE_c, hello, false);
    run(&job);
    job.run.memory_bytes = 64 << 20;
    job.run.processes = 3;
    struct evidence ev = run(&job); /* the run's own, in the same sandbox */
    assert_int_equal(ev.sandbox_runs, 1);
    assert_int_equal(ev.run.limits.memory_bytes, 64 << 20);
    assert_int_equal(ev.run.limits.processes, 3);
    job.run.tmp_bytes /= 2; /* its /tmp is made already */
    ev = run(&job);
    assert_int_equal(ev.sandbox_runs, 0);
    assert_int_equal(ev.run.limits.tmp_bytes, job.run.tmp_bytes);
    release(&job);
    await_inits(0, 2000);
}

/* While nothing runs: killed, or stopped so that it does not answer. */
static void test_dead_and_deaf(void **state)
{
    (void)state;
    static const int signals[] = {SIGKILL, SIGSTOP};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        struct box_job job = build(fixture.box, LANGUAGE_c, hello, false);
        pid_t pids[INITS_MAX];
        run(&job);
        await_inits(1, 500); /* what is reaped a moment later is still one */
        assert_int_equal(inits(pids), 1);
        assert_int_equal(kill(pids[0], signals[i]), 0);
        usleep(signals[i] == SIGKILL ? 20000 : 0);
        assert_int_equal(run(&job).sandbox_runs, 0);
        assert_int_equal(run(&job).sandbox_runs, 1);
        release(&job);
        await_inits(0, 2000);
    }
}

/* It dies after it was ordered, at some point of its work: nothing of the run is lost. */
static void test_dies_at_work(void **state)
{
    (void)state;
    struct box_job job = build(fixture.box, LANGUAGE_c, hello, false);
    unsigned again = 0;
    for (unsigned i = 0; i < 60; i++) {
        pid_t pids[INITS_MAX];
        run(&job);
        await_inits(1, 500); /* what is reaped a moment later is still one */
        assert_int_equal(inits(pids), 1);
        assert_int_equal(kill(pids[0], SIGSTOP), 0);
        start(fixture.box, &job);
        usleep(1000); /* the order is there */
        kill(pids[0], SIGCONT);
        usleep(i * 5);
        kill(pids[0], SIGKILL);
        struct box_report report;
        box_fixture_next(&fixture, &report);
        struct decision decision = verdict_decide(&report.evidence, TAXONOMY_STANDARD);
        again += report.evidence.sandbox_runs == 0;
        /* Killed beside its program it is the host's fault, which the evidence says. */
        if (decision.cause != CAUSE_normal_exit && decision.cause != CAUSE_ie_missing_evidence)
            fail_msg("%s: %s", cause_name(decision.cause), report.evidence.setup_error);
        assert_true(decision.cause != CAUSE_normal_exit || span_is(report.out, "hello\n"));
        box_report_done(&report);
    }
    assert_true(again > 0);
    release(&job);
    await_inits(0, 2000);
}

/* The init's end of the pair on which the run before spoke. No program can have it; here somebody
 * does all the same. */
static int old_end(pid_t init)
{
    AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, init, 0);
    int old = (int)syscall(SYS_pidfd_getfd, pidfd, STAY_SYNC, 0);
    assert_true(old >= 0);
    return old;
}

/* What is said there, before the next run is ordered or while it is under way, is not of that run:
 * it has a pair of its own. */
static void test_late_message(void **state)
{
    (void)state;
    static const enum child_kind kinds[] = {CHILD_ENDED, CHILD_FAILED, CHILD_LOADED, CHILD_NO_EXEC};
    struct box_job job = build(fixture.box, LANGUAGE_c, hello, false);
    unsigned shared = 0;
    run(&job);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct child_message late = {.kind = kinds[i], .status = 9 << 8, .alone = true};
        pid_t pids[INITS_MAX];
        await_inits(1, 500);
        assert_int_equal(inits(pids), 1);
        AUTO_FD int old = old_end(pids[0]);
        assert_int_equal(send(old, &late, sizeof late, MSG_NOSIGNAL), sizeof late);
        start(fixture.box, &job);
        for (int n = 0; n < 10; n++) {
            send(old, &late, sizeof late, MSG_NOSIGNAL | MSG_DONTWAIT);
            usleep(200);
        }
        struct evidence ev = end(fixture.box);
        shared += ev.sandbox_runs > 0;
        assert_string_equal(ev.collection_errors[0], "");
    }
    /* Not always: unread words make the end of a pair an error, and an init that sees that before
     * its order goes. Were they taken for the next run's, it never would be. */
    assert_true(shared > 0);
    release(&job);
    await_inits(0, 2000);
}

static void test_not_for_long(void **state)
{
    (void)state;
    struct box_leftovers before = box_fixture_settled(&fixture), after;
    struct box_job job = build(fixture.box, LANGUAGE_c, hello, false);
    run(&job);
    await_inits(1, 400);
    usleep(500000);
    assert_int_equal(run(&job).sandbox_runs, 1);
    usleep(500000);
    await_inits(1, 400);
    await_inits(0, 1500);
    assert_int_equal(run(&job).sandbox_runs, 0);
    release(&job);
    await_inits(0, 500);
    after = box_fixture_settled(&fixture);
    assert_memory_equal(&before, &after, sizeof after);
}

static void test_end_of_the_launcher(void **state)
{
    (void)state;
    struct box_fixture own;
    struct box_fixture saved = fixture;
    box_fixture_start(&own, NULL);
    fixture = own;
    struct box_job job = build(fixture.box, LANGUAGE_c, hello, false);
    pid_t pids[INITS_MAX];
    run(&job);
    await_inits(1, 500); /* what is reaped a moment later is still one */
    assert_int_equal(inits(pids), 1);
    box_fixture_stop(&fixture); /* SIGTERM, and it waits */
    assert_int_equal(kill(pids[0], 0), -1);
    fixture = saved;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_stays),           cmocka_unit_test(test_for_nobody_else),
        cmocka_unit_test(test_other_limits),       cmocka_unit_test(test_never_with_assurance),
        cmocka_unit_test(test_dead_and_deaf),      cmocka_unit_test(test_dies_at_work),
        cmocka_unit_test(test_late_message),       cmocka_unit_test(test_not_for_long),
        cmocka_unit_test(test_end_of_the_launcher)};
    return box_fixture_group(&fixture, NULL, "box_stay", tests, COUNT_OF(tests));
}
