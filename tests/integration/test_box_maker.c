/* The maker of sandboxes (sandbox/maker.h) dies: between two jobs, after it cloned a blank, before
 * or while the launcher waits for one, with an order that it never read. No job fails or waits for
 * it, and every process that it cloned is reaped. */
#include "sandbox/maker.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct box_fixture fixture;

static void test_maker_dies(void **state)
{
    (void)state;
    box_fixture_fine(&fixture);
    struct box_leftovers before = box_fixture_settled(&fixture);
    pid_t maker = box_fixture_maker(&fixture);
    assert_true(maker > 0 && kill(maker, SIGKILL) == 0);
    box_fixture_fine(&fixture);
    pid_t next = box_fixture_maker(&fixture);
    for (int i = 0; i < 200 && (next == 0 || next == maker); i++) {
        usleep(10000); /* when it is idle, or asked for */
        next = box_fixture_maker(&fixture);
    }
    assert_true(next > 0 && next != maker);
    box_fixture_fine(&fixture);
    assert_int_equal(box_fixture_maker(&fixture), next);
    box_fixture_nothing_left(&fixture, &before);
}

/* Stops the maker's next child before its first instruction. */
static pid_t catch_clone(pid_t maker)
{
    unsigned long child = 0;
    int status;
    assert_int_equal(ptrace(PTRACE_SEIZE, maker, NULL,
                            PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE),
                     0);
    box_fixture_fine(&fixture);
    assert_int_equal(waitpid(maker, &status, __WALL), maker);
    assert_int_equal(ptrace(PTRACE_GETEVENTMSG, maker, NULL, &child), 0);
    assert_int_equal(waitpid((pid_t)child, &status, __WALL), (pid_t)child);
    return (pid_t)child;
}

/* Lets it go on until it is about to say that it is there, with no hold on its maker's pair. */
static void run_to_word(pid_t child)
{
    struct __ptrace_syscall_info info = {0};
    int status;
    while (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr != SYS_write) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, __WALL), child);
        assert_true(WIFSTOPPED(status));
        assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) > 0);
    }
}

static void kill_traced(pid_t maker)
{
    int status;
    assert_int_equal(kill(maker, SIGKILL), 0);
    assert_int_equal(waitpid(maker, &status, __WALL), maker);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whom a maker cloned last, before it died, the launcher hears of all the same. */
static void test_maker_dies_after_a_clone(void **state)
{
    (void)state;
    box_fixture_fine(&fixture);
    struct box_leftovers before = box_fixture_settled(&fixture);
    pid_t maker = box_fixture_maker(&fixture), child = catch_clone(maker);
    kill_traced(maker);
    assert_int_equal(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
    for (int i = 0; i <= MAKER_BLANKS; i++) {
        box_fixture_fine(&fixture);
        usleep(50000); /* and the launcher sees that the maker is gone, before it needs the child */
    }
    box_fixture_nothing_left(&fixture, &before);
    for (int i = 0; i < 200 && kill(child, 0) == 0; i++)
        usleep(10000);
    assert_true(kill(child, 0) != 0 && errno == ESRCH); /* also not as a zombie */
}

/* As above, but the launcher comes to need the child before it has spoken: it has to wait until the
 * child speaks for itself. The maker dies before the launcher waits, or meanwhile. */
static void blank_outlives_its_maker(bool meanwhile)
{
    struct err err;
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, "print('x')\n");
    job.high_assurance = true; /* with an init of its own */
    box_fixture_fine(&fixture);
    struct box_leftovers before = box_fixture_settled(&fixture);
    pid_t maker = box_fixture_maker(&fixture), child = catch_clone(maker);
    run_to_word(child);
    for (int i = 1; i < MAKER_BLANKS; i++) {
        if (i == 1 && !meanwhile)
            kill_traced(maker);
        box_fixture_fine(&fixture); /* in one that was cloned before */
    }
    assert_ok(box_submit(fixture.box, &job, &err), err);
    usleep(100000);
    if (meanwhile)
        kill_traced(maker);
    usleep(100000);
    assert_int_equal(box_next(fixture.box, &report, &err), 0); /* it waits */
    int64_t began = now_ms();
    assert_int_equal(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
    box_fixture_next(&fixture, &report);
    struct decision decision = verdict_decide(&report.evidence, TAXONOMY_STANDARD);
    box_report_done(&report);
    assert_int_equal(decision.cause, CAUSE_normal_exit);
    assert_true(now_ms() - began < 2000);
    box_fixture_nothing_left(&fixture, &before);
    assert_true(kill(child, 0) != 0 && errno == ESRCH);
}
static void test_maker_dies_before_its_blank_speaks(void **state)
{
    (void)state;
    blank_outlives_its_maker(false);
}

static void test_maker_dies_while_its_blank_is_awaited(void **state)
{
    (void)state;
    blank_outlives_its_maker(true);
}

/* It dies with an order that it never read, and the launcher starts another before it comes to need
 * that blank: nobody will ever speak there, and no job may wait for it. */
static void test_maker_dies_with_an_order(void **state)
{
    (void)state;
    box_fixture_fine(&fixture);
    struct box_leftovers before = box_fixture_settled(&fixture);
    pid_t maker = box_fixture_maker(&fixture);
    assert_int_equal(kill(maker, SIGSTOP), 0);
    box_fixture_fine(&fixture); /* in one that is there; the order of another stays unread */
    usleep(50000);
    assert_int_equal(kill(maker, SIGKILL), 0);
    for (int i = 0; i < 2 * MAKER_BLANKS; i++) {
        int64_t began = now_ms();
        box_fixture_fine(&fixture);
        assert_true(now_ms() - began < 3000);
        usleep(50000);
    }
    box_fixture_nothing_left(&fixture, &before);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maker_dies), cmocka_unit_test(test_maker_dies_after_a_clone),
        cmocka_unit_test(test_maker_dies_before_its_blank_speaks),
        cmocka_unit_test(test_maker_dies_while_its_blank_is_awaited),
        cmocka_unit_test(test_maker_dies_with_an_order)};
    return box_fixture_group(&fixture, (const char *const[]){"--slots", "1", NULL}, "box_maker",
                             tests, COUNT_OF(tests));
}
