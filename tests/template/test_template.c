/* The template's life as seen through the launcher's socket: which jobs are forks, that a template
 * is replaced, that its death or silence costs no job, and that limits hold in forks. */
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct box_fixture fixture;

struct seen {
    char tier[16];
    uint64_t generation, jobs;
    enum cause cause;
};

static struct seen run(const char *code, bool high, uint64_t stack_bytes)
{
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, code);
    job.high_assurance = high;
    if (stack_bytes)
        job.run.stack_bytes = stack_bytes;
    box_fixture_run(&fixture, &job, &report);
    const struct evidence *ev = &report.evidence;
    struct seen seen = {.generation = ev->template_generation,
                        .jobs = ev->template_jobs,
                        .cause = verdict_decide(ev, TAXONOMY_STANDARD).cause};
    memcpy(seen.tier, ev->tier, sizeof seen.tier);
    if (!ev->setup_ok)
        fail_msg("%s", ev->setup_error);
    box_report_done(&report);
    return seen;
}

static struct seen run_in_fork(const char *code)
{
    struct seen seen = {.tier = ""};
    for (int i = 0; i < 200 && strcmp(seen.tier, "template") != 0; i++) {
        seen = run(code, false, 0);
        if (strcmp(seen.tier, "template") != 0)
            usleep(50000);
    }
    assert_string_equal(seen.tier, "template");
    return seen;
}

/* The launcher's only child that runs Python while no job does. */
static pid_t template_pid(void)
{
    char command[64], line[64] = "";
    snprintf(command, sizeof command, "/proc/%d/task/%d/children", fixture.pid, fixture.pid);
    FILE *children = fopen(command, "re");
    assert_non_null(children);
    int pid = 0, found = 0;
    while (fscanf(children, "%d", &pid) == 1) {
        snprintf(command, sizeof command, "/proc/%d/comm", pid);
        FILE *name = fopen(command, "re");
        if (name && fgets(line, sizeof line, name) && strncmp(line, "python3.11", 10) == 0)
            found = pid;
        if (name)
            fclose(name);
    }
    fclose(children);
    return found;
}

static void test_which(void **state)
{
    (void)state;
    box_fixture_start(&fixture, NULL);
    struct seen first = run_in_fork("pass\n"), second = run("pass\n", false, 0);
    assert_int_equal(first.generation, 1);
    assert_int_equal(second.jobs, first.jobs + 1);
    assert_string_equal(run("pass\n", true, 0).tier, "cold");
    assert_int_equal(run("pass\n", true, 0).generation, 0);
    assert_string_equal(run("pass\n", false, 8 << 20).tier, "cold");
    box_fixture_stop(&fixture);
    box_fixture_start(&fixture, (const char *const[]){"--template", "python=0", NULL});
    usleep(300000);
    assert_string_equal(run("pass\n", false, 0).tier, "cold");
    assert_int_equal(template_pid(), 0);
    box_fixture_stop(&fixture);
}

static void test_replaced(void **state)
{
    (void)state;
    box_fixture_start(&fixture, (const char *const[]){"--template-jobs", "3", NULL});
    uint64_t last = run_in_fork("pass\n").generation;
    for (int i = 0; i < 400 && last < 3; i++) {
        struct seen seen = run("pass\n", false, 0);
        /* The old one serves until the new one is ready: never cold in between. */
        assert_string_equal(seen.tier, "template");
        assert_true(seen.generation == last || (seen.generation == last + 1 && seen.jobs == 1));
        last = seen.generation;
        usleep(10000);
    }
    assert_int_equal(last, 3);
    box_fixture_stop(&fixture);
}

static bool log_says(const char *text)
{
    char line[512];
    bool found = false;
    FILE *log = fopen(fixture.log, "re");
    while (log && !found && fgets(line, sizeof line, log))
        found = strstr(line, text) != NULL;
    if (log)
        fclose(log);
    return found;
}

/* Orders that a template has not read when its successor is ready are still carried out. */
static void test_replaced_with_orders(void **state)
{
    (void)state;
    box_fixture_start(&fixture,
                      (const char *const[]){"--template-jobs", "1", "--slots", "2", NULL});
    assert_int_equal(run_in_fork("pass\n").generation, 1);
    pid_t old = template_pid();
    kill(old, SIGSTOP);
    for (int i = 0; i < 2; i++) {
        struct err err;
        struct box_job job = box_fixture_job(LANGUAGE_python, "print(1)\n");
        assert_int_equal(box_submit(fixture.box, &job, &err), 0);
    }
    for (int i = 0; i < 200 && !log_says("generation=2"); i++)
        usleep(10000);
    assert_true(log_says("event=template_ready language=python generation=2"));
    kill(old, SIGCONT);
    for (int i = 0; i < 2; i++) {
        struct box_report report;
        box_fixture_next(&fixture, &report);
        assert_true(span_is(report.out, "1\n"));
        assert_string_equal(report.evidence.tier, "template");
        assert_int_equal(report.evidence.template_generation, 1);
        box_report_done(&report);
    }
    box_fixture_stop(&fixture);
}

static void test_dies(void **state)
{
    (void)state;
    box_fixture_start(&fixture, NULL);
    run_in_fork("pass\n");
    pid_t pid = template_pid();
    assert_true(pid > 0);
    kill(pid, SIGKILL);
    struct seen next = run("pass\n", false, 0);
    assert_int_equal(next.cause, CAUSE_normal_exit);
    assert_string_equal(next.tier, "cold");
    assert_int_equal(run_in_fork("pass\n").generation, 2); /* after its pause */
    /* A fork in flight does not die with it. */
    struct box_report report;
    struct err err;
    struct box_job job = box_fixture_job(LANGUAGE_python, "import time; time.sleep(1); print(1)\n");
    assert_int_equal(box_submit(fixture.box, &job, &err), 0);
    usleep(300000);
    kill(template_pid(), SIGKILL);
    box_fixture_next(&fixture, &report);
    assert_string_equal(report.evidence.tier, "template");
    assert_true(span_is(report.out, "1\n"));
    box_report_done(&report);
    box_fixture_stop(&fixture);
}

/* It takes an order and does nothing with it: the sandbox gives it up and the job runs cold. */
static void test_silent(void **state)
{
    (void)state;
    box_fixture_start(&fixture, NULL);
    run_in_fork("pass\n");
    kill(template_pid(), SIGSTOP);
    struct seen seen = run("pass\n", false, 0);
    assert_int_equal(seen.cause, CAUSE_normal_exit);
    assert_string_equal(seen.tier, "cold");
    assert_int_equal(seen.generation, 0);
    box_fixture_stop(&fixture);
}

static void test_limits(void **state)
{
    (void)state;
    box_fixture_start(&fixture, NULL);
    static const struct {
        const char *code;
        enum cause cause;
    } rows[] = {
        {"x = []\nwhile True: x.append(bytearray(1 << 20))\n", CAUSE_mle_kernel_oom},
        {"x = []\nwhile True: x.append('a' * 100 + str(len(x)))\n", CAUSE_mle_kernel_oom},
        {"import os\nif os.fork() == 0:\n    x = bytearray(400 << 20)\nos.wait()\n",
         CAUSE_mle_kernel_oom},
        {"import os, time\nwhile os.fork(): pass\ntime.sleep(20)\n", CAUSE_ple_cgroup_pids},
        {"import os\nwhile True: os.open('/dev/null', 0)\n", CAUSE_re_nonzero_exit},
        {"import os\nos.kill(os.getpid(), 9)\n", CAUSE_re_fatal_signal},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct seen seen = run_in_fork(rows[i].code);
        if (seen.cause != rows[i].cause)
            fail_msg("%s: %s", rows[i].code, cause_name(seen.cause));
    }
    box_fixture_stop(&fixture);
}

/* Whether this kernel makes large pages when asked to (Linux 6.1). */
static bool can_collapse(void)
{
    const size_t bytes = 4 << 20;
    char *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    memset(room, 1, bytes);
    bool can = madvise(room + (2 << 20) - (uintptr_t)room % (2 << 20), 2 << 20, 25) == 0;
    munmap(room, bytes);
    return can;
}

/* Nothing that a template runs is a file's: a fork of it needs no fault to run it. */
static void test_gathered(void **state)
{
    (void)state;
    char path[64], line[512];
    int code = 0;
    if (!can_collapse()) {
        print_message("skipped: this kernel makes no large pages on request (MADV_COLLAPSE)\n");
        skip();
    }
    box_fixture_start(&fixture, NULL);
    run_in_fork("pass\n");
    snprintf(path, sizeof path, "/proc/%d/maps", template_pid());
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        code += strstr(line, " r-xp ") != NULL;
        if (strstr(line, " r-xp ") && strchr(line, '/'))
            fail_msg("%s", line);
    }
    assert_true(code > 2);
    fclose(maps);
    box_fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_which),
                                       cmocka_unit_test(test_replaced),
                                       cmocka_unit_test(test_replaced_with_orders),
                                       cmocka_unit_test(test_gathered),
                                       cmocka_unit_test(test_dies),
                                       cmocka_unit_test(test_silent),
                                       cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
