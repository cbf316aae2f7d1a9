/* lib/log: a line is one line whatever its values are; a flood is counted, not written. */
#include "lib/log/log.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <unistd.h>

static int pipe_fds[2];
static struct clock manual;
static char text[65536];

static int setup(void **state)
{
    (void)state;
    if (pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC))
        return -1;
    manual = clock_manual(INT64_C(1795464900123456789));
    log_open("test", LOG_INFO, pipe_fds[1], &manual);
    log_context(NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static const char *written(void)
{
    ssize_t len = read(pipe_fds[0], text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static size_t lines(const char *from)
{
    size_t count = 0;
    for (; *from; from++)
        count += *from == '\n';
    return count;
}

static void one_line_of_typed_fields(void **state)
{
    (void)state;
    struct uuid id = {{1, 2, 3}};
    uint64_t big = UINT64_MAX;
    bool yes = true;
    log_event(LOG_INFO, "batch_done", kv("records", 200), kv("offset", INT64_C(-5)), kv("big", big),
              kv("ok", yes), kv("topic", "jobs.batch"), kv_uuid("project", &id));
    assert_string_equal(written(),
                        "ts=2026-11-23T20:15:00.123456Z level=info prog=test event=batch_done "
                        "records=200 offset=-5 big=18446744073709551615 ok=1 topic=jobs.batch "
                        "project=01020300-0000-0000-0000-000000000000\n");
    log_event(LOG_DEBUG, "hidden");
    assert_string_equal(written(), "");
    log_event(LOG_WARN, "bare");
    assert_string_equal(written(),
                        "ts=2026-11-23T20:15:00.123456Z level=warn prog=test event=bare\n");
}

static void values_cannot_break_the_line(void **state)
{
    (void)state;
    log_event(LOG_INFO, "odd", kv("a", "two words"), kv("b", "x\ny=1 level=fatal"), kv("c", ""),
              kv("d", "say \"hi\" \\"), kv("e", "gr\xc3\xbc\xc3\x9f"), kv("f", "bad\xff"),
              kv("g", (const char *)NULL), kv("h", "%s%n"));
    const char *line = written();
    assert_int_equal(lines(line), 1);
    assert_non_null(strstr(line, " a=\"two words\" b=\"x?y=1 level=fatal\" c=\"\" "
                                 "d=\"say \\\"hi\\\" \\\\\" e=\"gr\xc3\xbc\xc3\x9f\" f=\"bad?\" "
                                 "g=\"\" h=%s%n\n"));
    static char longer[10000];
    memset(longer, 'x', sizeof longer - 1);
    log_event(LOG_INFO, "long", kv("value", (const char *)longer), kv("after", 1));
    line = written();
    assert_int_equal(lines(line), 1);
    assert_true(strlen(line) <= LOG_LINE);
    memset(longer, '"', sizeof longer - 1);
    log_event(LOG_INFO, "long", kv("value", (const char *)longer));
    assert_int_equal(lines(written()), 1);
}

static void context_and_errors(void **state)
{
    (void)state;
    struct uuid id = {{0xab}};
    struct err err = {0};
    err_set(&err, ERR_DATABASE, "server closed\nthe connection");
    log_context(&id);
    log_event(LOG_ERROR, "failed", kv_err(&err));
    log_context(NULL);
    log_event(LOG_ERROR, "failed");
    const char *line = written();
    assert_non_null(strstr(line, "event=failed sub=ab000000-0000-0000-0000-000000000000 "
                                 "error=database message=\"server closed the connection\" at="));
    assert_null(strstr(strchr(line, '\n'), "sub="));
}

static void floods_are_counted(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        log_event(LOG_WARN, "flood", kv("i", i));
    log_event(LOG_WARN, "other");
    assert_int_equal(lines(written()), LOG_BURST + 1);
    clock_advance(&manual, 1000000000);
    log_event(LOG_INFO, "other");
    const char *line = written();
    assert_int_equal(lines(line), 2);
    assert_non_null(strstr(line, "event=log_suppressed of=flood count=980\n"));
    for (int i = 0; i < LOG_BURST + 3; i++)
        log_event(LOG_WARN, "flood");
    log_flush();
    assert_non_null(strstr(written(), "event=log_suppressed of=flood count=3\n"));
    log_flush();
    assert_string_equal(written(), "");
    char name[200][16]; /* more names than the table holds: nothing is lost, nothing breaks */
    for (int i = 0; i < 200; i++) {
        snprintf(name[i], sizeof name[i], "event_%d", i);
        log_event(LOG_INFO, name[i]);
    }
    assert_int_equal(lines(written()), 200);
}

/* The supervisor that reads the pipe stands still. The descriptor blocks, as stderr does: a logger
 * that waits for room is ended by the alarm. */
static void a_reader_that_stalls_costs_lines_and_no_time(void **state)
{
    (void)state;
    char name[32], filler[4096] = {0};
    assert_int_equal(fcntl(pipe_fds[1], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(write(pipe_fds[1], filler, sizeof filler), sizeof filler);
    assert_int_equal(fcntl(pipe_fds[1], F_SETFL, 0), 0);
    alarm(20);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "event_%d", i % 10);
        log_event(LOG_WARN, name);
    }
    alarm(0);
    assert_int_equal(read(pipe_fds[0], filler, sizeof filler), sizeof filler);
    assert_int_equal(fcntl(pipe_fds[1], F_SETPIPE_SZ, 65536), 65536);
    log_event(LOG_WARN, "after");
    log_event(LOG_WARN, "later");
    assert_string_equal(
        written(), "ts=2026-11-23T20:15:00.123456Z level=warn prog=test event=log_lost count=100\n"
                   "ts=2026-11-23T20:15:00.123456Z level=warn prog=test event=after\n"
                   "ts=2026-11-23T20:15:00.123456Z level=warn prog=test event=later\n");
}

static void levels(void **state)
{
    (void)state;
    enum log_level level = LOG_INFO;
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("loud", &level), -1);
    assert_int_equal(level, LOG_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line_of_typed_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(values_cannot_break_the_line, setup, teardown),
        cmocka_unit_test_setup_teardown(context_and_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(floods_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_that_stalls_costs_lines_and_no_time, setup,
                                        teardown),
        cmocka_unit_test(levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
