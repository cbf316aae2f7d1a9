/* What goes wrong around a job: the host fails it, the launcher is late, a client does not read,
 * a user may not connect, the launcher is told to stop. None may give a wrong verdict, disturb
 * another client or leave anything behind. */
#include "lib/base/cleanup.h"
#include "sandbox/cgroup.h"
#include "sandbox/wire.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STRANGER 54321

static struct box_fixture fixture;
static const char pause_py[] = "import signal\nsignal.pause()\n";

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void expect(const struct box_report *report, enum cause cause)
{
    struct decision decision = verdict_decide(&report->evidence, TAXONOMY_STANDARD);
    if (decision.cause != cause)
        fail_msg("%s %s, expected %s; %s; %s; stderr: %.*s", verdict_name(decision.verdict),
                 cause_name(decision.cause), cause_name(cause), report->evidence.setup_error,
                 report->evidence.collection_errors[0], (int)report->errout.len,
                 (const char *)report->errout.data);
}

static void run(enum language language, const char *code, enum cause cause, const char *out)
{
    struct box_report report;
    struct box_job job = box_fixture_job(language, code);
    job.stdin_data = span_text("input\n");
    box_fixture_run(&fixture, &job, &report);
    expect(&report, cause);
    if (out && !span_is(report.out, out))
        fail_msg("stdout is \"%.*s\"", (int)report.out.len, (const char *)report.out.data);
    box_report_done(&report);
}

/* Programs open their standard streams by name; that is a permission check of its own. */
static void test_streams_by_name(void **state)
{
    (void)state;
    run(LANGUAGE_python,
        "open('/dev/stdout', 'w').write(open('/dev/stdin').read())\n"
        "open('/dev/stderr', 'w').write('x')\n",
        CAUSE_normal_exit, "input\n");
}

/* The launcher was stopped over the wall limit of a program that had ended before it. */
static void test_late_launcher(void **state)
{
    (void)state;
    struct err err;
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, "import time\ntime.sleep(0.4)\n");
    job.run.cpu_ms = 300; /* its check is due long before the end */
    job.run.wall_ms = 900;
    assert_ok(box_submit(fixture.box, &job, &err), err);
    pause_ms(100);
    kill(fixture.pid, SIGSTOP);
    pause_ms(1500);
    kill(fixture.pid, SIGCONT);
    box_fixture_next(&fixture, &report);
    expect(&report, CAUSE_normal_exit);
    box_report_done(&report);
}

/* The host cannot keep the output: that is neither AC nor the program's fault. */
static void test_output_lost(void **state)
{
    (void)state;
    struct box_report report;
    struct rlimit usual, small;
    assert_int_equal(prlimit(fixture.pid, RLIMIT_FSIZE, NULL, &usual), 0);
    small = (struct rlimit){65536, usual.rlim_max};
    assert_int_equal(prlimit(fixture.pid, RLIMIT_FSIZE, &small, NULL), 0);
    struct box_job job = box_fixture_job(LANGUAGE_python, "print('x' * 300000)\n");
    box_fixture_run(&fixture, &job, &report);
    assert_int_equal(prlimit(fixture.pid, RLIMIT_FSIZE, &usual, NULL), 0);
    expect(&report, CAUSE_ie_missing_evidence);
    assert_non_null(strstr(report.evidence.collection_errors[0], "stdout could not be kept"));
    box_report_done(&report);
    run(LANGUAGE_python, "print('x')\n", CAUSE_normal_exit, "x\n");
}

/* More classes than the limit on files lets through. */
static void test_output_of_compile_too_large(void **state)
{
    (void)state;
    if (!(fixture.info.languages & (1u << LANGUAGE_java)))
        return print_message("no toolchain: java\n");
    struct box_report report;
    struct box_job job = box_fixture_job(
        LANGUAGE_java, "class Main { static class A {} static class B {} static class C {}\n"
                       "static class D {} static class E {} static class F {}\n"
                       "public static void main(String[] a) { System.out.println(1); } }\n");
    job.compile.file_bytes = 1024;
    box_fixture_run(&fixture, &job, &report);
    expect(&report, CAUSE_re_nonzero_exit);
    assert_true(report.evidence.run.ran);
    assert_string_equal(report.evidence.collection_errors[0], "the compiler's output is too large");
    box_report_done(&report);
}

static int raw_connection(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", fixture.socket);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    char greeting[BOX_MESSAGE_BYTES];
    assert_true(read(fd, greeting, sizeof greeting) > 0);
    return fd;
}

static int sealed_memfd(off_t bytes)
{
    int fd = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, bytes), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    return fd;
}

static int send_job(int fd, const int fds[2])
{
    struct err err;
    struct wire_request request = {.kind = WIRE_JOB, .job = box_fixture_job(LANGUAGE_python, "")};
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    assert_ok(wire_encode_request(&request, &text, &err), err);
    return wire_send(fd, buf_span(&text), fds, 2, &err);
}

/* Copying it would stop the loop for everybody; a sparse memfd costs its sender nothing. */
static void test_huge_stdin(void **state)
{
    (void)state;
    static char reply[BOX_MESSAGE_BYTES];
    int fd = raw_connection();
    int fds[2] = {sealed_memfd(0), sealed_memfd((off_t)65 << 20)};
    assert_int_equal(send_job(fd, fds), 1);
    ssize_t got = read(fd, reply, sizeof reply - 1);
    assert_true(got > 0);
    reply[got] = '\0';
    assert_non_null(strstr(reply, "code or stdin is over"));
    close(fds[0]);
    close(fds[1]);
    close(fd);
}

/* Jobs with bad descriptors are answered at once, so the answers fill the socket. How many until
 * the launcher has had enough of this client? */
static unsigned send_until(int fd, unsigned most)
{
    int pipes[2];
    unsigned sent = 0;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    for (; sent < most; sent++) {
        struct pollfd poller = {.fd = fd, .events = POLLOUT};
        if (poll(&poller, 1, 2000) != 1 || (poller.revents & (POLLERR | POLLHUP)) ||
            send_job(fd, pipes) != 1)
            break;
        if (sent % 16 == 0)
            pause_ms(2);
    }
    close(pipes[0]);
    close(pipes[1]);
    return sent;
}

static void expect_nothing_left(const struct box_leftovers *before)
{
    struct box_leftovers now;
    for (int i = 0; i < 500; i++) {
        now = box_fixture_leftovers(&fixture);
        if (memcmp(&now, before, sizeof now) == 0)
            return;
        pause_ms(20);
    }
    fail_msg("left: groups %u, mounts %u, children %u, descriptors %u (were %u)", now.groups,
             now.mounts, now.children, now.descriptors, before->descriptors);
}

static void expect_cancelled(void)
{
    struct err err;
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, pause_py);
    assert_ok(box_submit(fixture.box, &job, &err), err);
    assert_ok(box_cancel(fixture.box, &job.id, &err), err);
    box_fixture_next(&fixture, &report);
    expect(&report, CAUSE_ie_cancelled);
    box_report_done(&report);
}

/* What a job leaves to be closed when the launcher is idle is closed although the next job begins
 * at once and ends before it has mounts of its own. */
static void test_cancelled_right_after_another(void **state)
{
    (void)state;
    struct box_leftovers before = box_fixture_settled(&fixture);
    for (int i = 0; i < 10; i++) {
        run(LANGUAGE_python, "print('x')\n", CAUSE_normal_exit, "x\n");
        expect_cancelled();
        expect_nothing_left(&before);
    }
}

static void test_client_that_does_not_read(void **state)
{
    (void)state;
    struct box_leftovers before = box_fixture_settled(&fixture);
    /* One that goes on sending is closed, for it has more jobs in flight than slots. */
    int greedy = raw_connection();
    unsigned most = send_until(greedy, 4000);
    assert_in_range(most, 10, 3999);
    run(LANGUAGE_python, "print('x')\n", CAUSE_normal_exit, "x\n");
    close(greedy);
    /* One that stops with its jobs unreported gets every report once it reads. */
    int lazy = raw_connection();
    static char reply[BOX_MESSAGE_BYTES];
    unsigned sent = 0, got = 0;
    /* Reports are sent in the order of jobs: fill the socket nearly, then jobs of the usual kind.
     */
    sent = send_until(lazy, most > 64 ? most - 64 : 1);
    run(LANGUAGE_python, "print('x')\n", CAUSE_normal_exit, "x\n");
    expect_cancelled();
    struct pollfd poller = {.fd = lazy, .events = POLLIN};
    while (got < sent && poll(&poller, 1, 5000) == 1 && read(lazy, reply, sizeof reply) > 0)
        got++;
    assert_int_equal(got, sent);
    close(lazy);
    expect_nothing_left(&before);
}

/* 1 = greeted, 0 = closed without a word; in a child with another user id. */
static int greeted_as(uid_t uid)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char byte;
        memcpy(address.sun_path, fixture.socket, sizeof fixture.socket);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (setresuid(uid, uid, uid) != 0 ||
            connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            _exit(2);
        _exit(read(fd, &byte, 1) > 0 ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

/* Whoever the file's mode lets through is still asked by the kernel's word who it is. */
static void test_stranger(void **state)
{
    (void)state;
    assert_int_equal(chmod(fixture.dir, 0711), 0);
    assert_int_equal(chmod(fixture.socket, 0666), 0);
    assert_int_equal(greeted_as(STRANGER), 0);
    assert_int_equal(greeted_as(0), 1);
    struct box_fixture usual = fixture;
    box_fixture_start(&fixture, (const char *const[]){"--allow-user", "54321", NULL});
    assert_int_equal(chmod(fixture.dir, 0711), 0);
    int allowed = greeted_as(STRANGER);
    box_fixture_stop(&fixture);
    fixture = usual;
    assert_int_equal(allowed, 1);
}

/* SIGTERM with jobs in flight: they end, and their groups are gone with the launcher. */
static void test_stop(void **state)
{
    (void)state;
    struct err err;
    struct box_fixture usual = fixture;
    box_fixture_start(&fixture, (const char *const[]){"--slots", "2", NULL});
    unsigned instance = box_fixture_instance(&fixture);
    for (int i = 0; i < 2; i++) {
        struct box_job job = box_fixture_job(LANGUAGE_python, pause_py);
        assert_ok(box_submit(fixture.box, &job, &err), err);
    }
    pause_ms(200);
    unsigned during = box_fixture_groups(instance);
    box_fixture_stop(&fixture);
    fixture = usual;
    /* Two jobs in three trees, and what is made ahead. */
    assert_true(during >= 3 * 2 && during <= 3 * (2 + CGROUP_AHEAD));
    assert_int_equal(box_fixture_groups(instance), 0);
}

/* Fewer descriptors than the slots can need: no start, and the message says what to do. */
static void test_few_descriptors(void **state)
{
    (void)state;
    char text[4096];
    struct rlimit few = {2048, 2048};
    const char *extra[] = {"--slots", "1024", NULL};
    pid_t pid = fork(); /* the hard limit cannot be raised again */
    if (pid == 0) {
        if (setrlimit(RLIMIT_NOFILE, &few) != 0)
            _exit(99);
        int status = box_fixture_check(&fixture, extra, text, sizeof text);
        _exit(status == 1 && strstr(text, "1024 slots need") && strstr(text, "ulimit -n") ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_by_name),
        cmocka_unit_test(test_late_launcher),
        cmocka_unit_test(test_output_of_compile_too_large),
        cmocka_unit_test(test_huge_stdin),
        cmocka_unit_test(test_cancelled_right_after_another),
        cmocka_unit_test(test_client_that_does_not_read),
        cmocka_unit_test(test_stranger),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_few_descriptors),
        cmocka_unit_test(test_output_lost),
    };
    return box_fixture_group(&fixture, (const char *const[]){"--slots", "2", NULL}, "box_hostile",
                             tests, COUNT_OF(tests));
}
