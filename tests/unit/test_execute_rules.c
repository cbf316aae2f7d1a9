/* consumers/execute_rules and execute_journal: turns, shares, suspects, and a journal that kills do
 * not lose. */
#include "consumers/execute_journal.h"
#include "consumers/execute_rules.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static struct err err;
static uint64_t arrivals;

static struct rules_job job(uint8_t project, enum lane lane)
{
    return (struct rules_job){.project = {{project}}, .lane = lane, .order = arrivals++};
}

/* Starts all jobs one after the other and writes each one's project and lane. */
static void expect_order(struct rules_job *jobs, size_t count, const char *wanted)
{
    const struct rules_job *waiting[64];
    struct rules_turns turns = {0};
    char got[256] = "";
    size_t left = count;

    for (size_t i = 0; i < count; i++)
        waiting[i] = &jobs[i];
    while (left > 0) {
        ptrdiff_t at = rules_pick(waiting, left, (struct rules_running){0, false}, &turns);
        const struct rules_job *picked;
        bool batch = false;
        assert_true(at >= 0);
        picked = waiting[at];
        waiting[at] = waiting[--left];
        for (size_t i = 0; i < left; i++)
            batch |= waiting[i]->lane == LANE_BATCH;
        rules_started(&turns, picked, batch);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%c%d ",
                 picked->lane == LANE_BATCH ? 'b' : 'i', picked->project.bytes[0]);
    }
    assert_string_equal(got, wanted);
}

static void projects_take_turns(void **state)
{
    struct rules_job jobs[] = {job(1, LANE_INTERACTIVE), job(1, LANE_INTERACTIVE),
                               job(1, LANE_INTERACTIVE), job(2, LANE_INTERACTIVE),
                               job(3, LANE_INTERACTIVE), job(2, LANE_INTERACTIVE)};

    (void)state;
    expect_order(jobs, COUNT_OF(jobs), "i1 i2 i3 i1 i2 i1 ");
}

static void neither_lane_starves(void **state)
{
    struct rules_job jobs[] = {
        job(1, LANE_BATCH),       job(1, LANE_BATCH),       job(2, LANE_INTERACTIVE),
        job(2, LANE_INTERACTIVE), job(2, LANE_INTERACTIVE), job(2, LANE_INTERACTIVE),
        job(2, LANE_INTERACTIVE), job(2, LANE_INTERACTIVE), job(2, LANE_INTERACTIVE)};

    (void)state;
    expect_order(jobs, COUNT_OF(jobs), "i2 i2 i2 b1 i2 i2 i2 b1 i2 ");
}

static void suspects_run_first_and_alone(void **state)
{
    struct rules_job a = job(1, LANE_INTERACTIVE), b = job(2, LANE_INTERACTIVE),
                     c = job(3, LANE_BATCH);
    const struct rules_job *waiting[] = {&a, &b, &c};
    struct rules_turns turns = {0};

    (void)state;
    b.suspect = c.suspect = true;
    assert_int_equal(rules_pick(waiting, 3, (struct rules_running){0, false}, &turns), 1);
    assert_int_equal(rules_pick(waiting, 3, (struct rules_running){1, false}, &turns), -1);
    assert_int_equal(rules_pick(waiting, 1, (struct rules_running){1, true}, &turns), -1);
    assert_int_equal(rules_pick(waiting, 1, (struct rules_running){1, false}, &turns), 0);
    a.blocked = true;
    assert_int_equal(rules_pick(waiting, 1, (struct rules_running){1, false}, &turns), -1);
}

static void only_a_lonely_suspect_is_counted(void **state)
{
    (void)state;
    assert_true(rules_death_counts((struct rules_running){1, true}));
    assert_false(rules_death_counts((struct rules_running){1, false}));
    assert_false(rules_death_counts((struct rules_running){2, true}));
    assert_false(rules_is_poison(2));
    assert_true(rules_is_poison(3));
}

static void a_full_lane_opens_again_at_half(void **state)
{
    (void)state;
    assert_true(rules_accepts(31, 32, false));
    assert_false(rules_accepts(32, 32, false));
    assert_false(rules_accepts(16, 32, true));
    assert_true(rules_accepts(15, 32, true));
}

static void a_verdict_waits_for_others_only_while_the_slots_have_work(void **state)
{
    (void)state;
    assert_true(rules_lingers(true, 4, 2));
    assert_false(rules_lingers(true, 3, 2));
    assert_false(rules_lingers(false, 100, 2));
}

/* ---- the journal ---- */
static char path[] = "/tmp/rustbox-journal.XXXXXX";

static struct uuid number(uint8_t n)
{
    return (struct uuid){{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, n}};
}

static struct journal *open_journal(void)
{
    struct journal *journal;

    assert_ok(journal_open(path, &journal, &err), err);
    return journal;
}

/* The end of a process: nothing is written. */
static struct journal *killed(struct journal *journal)
{
    journal_close(journal);
    return open_journal();
}

static unsigned deaths_of(const struct journal *journal, uint8_t n, bool suspect)
{
    struct uuid id = number(n);
    unsigned deaths;

    assert_int_equal(journal_suspect(journal, &id, &deaths), suspect);
    return deaths;
}

static void started(struct journal *journal, uint8_t n, bool alone)
{
    struct uuid id = number(n);

    assert_ok(journal_started(journal, &id, alone, &err), err);
}

static void ended(struct journal *journal, uint8_t n)
{
    struct uuid id = number(n);

    assert_ok(journal_ended(journal, &id, &err), err);
}

static void a_kill_makes_suspects_of_what_ran(void **state)
{
    struct journal *journal = open_journal();

    (void)state;
    started(journal, 1, false);
    started(journal, 2, false);
    started(journal, 3, false);
    ended(journal, 2);
    journal = killed(journal);
    assert_int_equal(deaths_of(journal, 1, true), 0); /* two ran: nobody is counted */
    assert_int_equal(deaths_of(journal, 3, true), 0);
    deaths_of(journal, 2, false);
    started(journal, 1, true);
    journal = killed(journal);
    assert_int_equal(deaths_of(journal, 1, true), 1);
    started(journal, 1, true);
    assert_ok(journal_death(journal, &err), err); /* the launcher's counts the same way */
    assert_int_equal(deaths_of(journal, 1, true), 2);
    started(journal, 1, true);
    journal = killed(journal);
    assert_int_equal(deaths_of(journal, 1, true), 3);
    assert_int_equal(deaths_of(journal, 3, true), 0);
    ended(journal, 1);
    journal = killed(journal);
    deaths_of(journal, 1, false);
    assert_int_equal(deaths_of(journal, 3, true), 0);
    ended(journal, 3);
    journal_close(journal);
}

static void a_released_job_is_not_blamed(void **state)
{
    struct journal *journal = open_journal();
    struct uuid id = number(9);

    (void)state;
    started(journal, 9, false);
    assert_ok(journal_released(journal, &id, &err), err);
    journal = killed(journal);
    deaths_of(journal, 9, false);
    journal_close(journal);
}

static void torn_and_foreign_lines_are_passed_over(void **state)
{
    struct journal *journal = open_journal();
    FILE *file;

    (void)state;
    started(journal, 4, false);
    journal_close(journal);
    file = fopen(path, "ae");
    assert_non_null(file);
    fputs("X nonsense\n\n\x01\xff\n", file);
    fputs("C 00000000-0000-7000-8007-000000000000\n", file);
    fputs("Cx1x00000000-0000-7000-8007-000000000000\n", file);
    fputs("S 00000000-0000-7000-8007-000000000000\n", file);
    fputs("D 00000000-0000-7000-8007-000000000000\n", file); /* a death has no id */
    fputs("R 00000000-0000-7000-8007-000000000000\n", file);
    fputs("E 00000000-0000-7000-8004", file); /* torn */
    fclose(file);
    journal = open_journal();
    assert_int_equal(deaths_of(journal, 4, true), 0);
    deaths_of(journal, 7, false);
    ended(journal, 4);
    journal_close(journal);
}

static void more_jobs_than_can_run_end_no_start(void **state)
{
    FILE *file = fopen(path, "we");

    (void)state;
    assert_non_null(file);
    for (unsigned i = 0; i < 5000; i++)
        fprintf(file, "S 00000000-0000-7000-8100-%012u\n", i);
    fputs("S 00000000-0000-7000-8008-000000000000\n", file);
    fclose(file);
    journal_close(open_journal());
    struct journal *journal = open_journal();
    assert_int_equal(deaths_of(journal, 8, true), 0);
    journal_close(journal);
    assert_int_equal(truncate(path, 0), 0);
}

/* An unreadable file must not pass for an empty one: its suspects would be forgotten. */
static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    char link[] = "/tmp/rustbox-journal-link.XXXXXX", text[64];
    struct journal *journal;
    int fd = mkstemp(link);

    (void)state;
    close(fd);
    unlink(link);
    assert_int_equal(symlink("/proc/self/mem", link), 0); /* reading address 0: EIO */
    assert_err(journal_open(link, &journal, &err), err, ERR_SYSTEM);
    assert_true(readlink(link, text, sizeof text) > 0);
    unlink(link);
}

static void a_full_disk_tears_no_line(void **state)
{
    struct journal *journal = open_journal();
    struct uuid id = number(11);
    struct rlimit old, room;

    (void)state;
    started(journal, 10, false);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    room = (struct rlimit){39 + 20, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &room);
    int failed = journal_started(journal, &id, false, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(failed, -1);
    assert_non_null(strstr(err.message, strerror(ENOSPC)));
    ended(journal, 10); /* behind a torn line it would not be one */
    journal = killed(journal);
    deaths_of(journal, 10, false);
    journal_close(journal);
}

static void the_file_stays_bounded_and_keeps_what_matters(void **state)
{
    struct journal *journal = open_journal();

    (void)state;
    started(journal, 5, false);
    for (int i = 0; i < 30000; i++) {
        started(journal, 6, false);
        ended(journal, 6);
    }
    journal_close(journal);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    assert_true(ftell(file) < 1200000);
    fclose(file);
    journal = open_journal();
    assert_int_equal(deaths_of(journal, 5, true), 0);
    deaths_of(journal, 6, false);
    journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(projects_take_turns),
        cmocka_unit_test(neither_lane_starves),
        cmocka_unit_test(suspects_run_first_and_alone),
        cmocka_unit_test(only_a_lonely_suspect_is_counted),
        cmocka_unit_test(a_full_lane_opens_again_at_half),
        cmocka_unit_test(a_verdict_waits_for_others_only_while_the_slots_have_work),
        cmocka_unit_test(a_kill_makes_suspects_of_what_ran),
        cmocka_unit_test(a_released_job_is_not_blamed),
        cmocka_unit_test(torn_and_foreign_lines_are_passed_over),
        cmocka_unit_test(more_jobs_than_can_run_end_no_start),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(a_full_disk_tears_no_line),
        cmocka_unit_test(the_file_stays_bounded_and_keeps_what_matters),
    };
    int fd = mkstemp(path);
    int failed;

    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
