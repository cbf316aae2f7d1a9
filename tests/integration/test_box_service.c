/* The launcher as a service: every language says hello; garbage, dying clients and a dying launcher
 * harm nobody else; nothing is left behind. */
#include "lib/base/cleanup.h"
#include "sandbox/wire.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct box_fixture fixture;
static const char hello_c[] = "#include <stdio.h>\nint main(void)\n{\n    int c;\n"
                              "    puts(\"hello\");\n    while ((c = getchar()) != EOF)\n"
                              "        putchar(c);\n    return 0;\n}\n";
static const char pause_c[] = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";
static const char hello_py[] = "import sys\nprint('hello\\n' + sys.stdin.read(), end='')\n";

static void expect(const struct box_report *report, enum cause cause, const char *out)
{
    struct decision decision = verdict_decide(&report->evidence, TAXONOMY_STANDARD);
    if (decision.cause != cause)
        fail_msg("%s %s, expected %s; %s; stderr: %.*s", verdict_name(decision.verdict),
                 cause_name(decision.cause), cause_name(cause), report->evidence.setup_error,
                 (int)report->errout.len, (const char *)report->errout.data);
    if (out && !span_is(report->out, out))
        fail_msg("stdout is \"%.*s\"", (int)report->out.len, (const char *)report->out.data);
}

static void hello(struct box_fixture *box, enum language language, const char *code)
{
    struct box_report report;
    struct box_job job = box_fixture_job(language, code);
    job.stdin_data = span_text("world\n");
    box_fixture_run(box, &job, &report);
    expect(&report, CAUSE_normal_exit, "hello\nworld\n");
    assert_int_equal(report.errout.len, 0);
    box_report_done(&report);
}

static void test_languages(void **state)
{
    (void)state;
    static const char *const codes[LANGUAGE_COUNT] = {
        [LANGUAGE_python] = hello_py,
        [LANGUAGE_c] = hello_c,
        [LANGUAGE_cpp] = "#include <iostream>\nint main() { std::cout << \"hello\\n\" << "
                         "std::cin.rdbuf(); }\n",
        [LANGUAGE_java] = "import java.util.*;\nclass Main { static class Inner {} public static "
                          "void main(String[] a) { System.out.println(\"hello\\n\" + new "
                          "Scanner(System.in).nextLine()); } }\n",
        [LANGUAGE_javascript] =
            "process.stdout.write('hello\\n' + require('fs').readFileSync(0));\n",
        [LANGUAGE_typescript] = "import * as fs from 'fs';\nconst s: string = "
                                "fs.readFileSync(0).toString();\nprocess.stdout.write('hello\\n' "
                                "+ s);\n",
        [LANGUAGE_go] = "package main\nimport (\"fmt\"; \"io\"; \"os\")\nfunc main() { "
                        "fmt.Println(\"hello\"); io.Copy(os.Stdout, os.Stdin) }\n",
        [LANGUAGE_rust] = "use std::io::*;\nfn main() { let mut s = String::new(); "
                          "stdin().read_to_string(&mut s).unwrap(); print!(\"hello\\n{}\", s); }\n",
    };
    for (int i = 0; i < LANGUAGE_COUNT; i++) {
        if (!(fixture.info.languages & (1u << i)))
            print_message("no toolchain: %s\n", language_name((enum language)i));
        else
            hello(&fixture, (enum language)i, codes[i]);
    }
}

/* What a job brings beside its source: seen by the run under both names, and by nobody else. */
static void test_args_and_files(void **state)
{
    (void)state;
    static const struct box_file files[] = {{SPAN_LIT("d/x.h"), SPAN_LIT("#define X 7\n")},
                                            {SPAN_LIT("data"), SPAN_LIT("given\n")}};
    static const struct span args[] = {SPAN_LIT("one"), SPAN_LIT(""), SPAN_LIT("a\n\"b\x01")};
    struct box_report report;
    struct box_job job = box_fixture_job(
        LANGUAGE_c,
        "#include <stdio.h>\n#include \"d/x.h\"\n"
        "int main(int n, char **a) { char t[9]; printf(\"%d %s,%s,%s,%d\", n, a[1], a[2], "
        "a[3], X);\nputs(fgets(t, 9, fopen(\"data\", \"r\")));\n"
        "return !fopen(\"/box/d/x.h\", \"r\") || !fopen(\"d/x.h\", \"r\"); }\n");
    job.files = files;
    job.args = args;
    job.file_count = COUNT_OF(files);
    job.arg_count = COUNT_OF(args);
    box_fixture_run(&fixture, &job, &report);
    expect(&report, CAUSE_normal_exit, "4 one,,a\n\"b\x01,7given\n\n");
    box_report_done(&report);
    job =
        box_fixture_job(LANGUAGE_python, "import os, sys\nprint(sys.argv[1:], os.listdir('/box'), "
                                         "os.listdir('.'))\n");
    box_fixture_run(&fixture, &job, &report);
    expect(&report, CAUSE_normal_exit, "[] ['main.py'] []\n");
    box_report_done(&report);
}

static struct box_job run_of(const struct box_job *built, const char *input, const struct span *arg)
{
    struct box_job job = box_fixture_job(built->language, "");
    job.stdin_data = span_text(input);
    job.args = arg;
    job.arg_count = arg != NULL;
    return job;
}

static void build(const struct box_job *job, struct box_report *report)
{
    struct err err;
    assert_ok(box_build(fixture.box, job, &err), err);
    box_fixture_next(&fixture, report);
    assert_true(uuid_eq(&report->id, &job->id));
}

/* Compiled once, run often, each in a sandbox of its own, two at a time; then gone. */
static void test_built_once(void **state)
{
    (void)state;
    static const struct span arg = SPAN_LIT("x");
    static const struct box_file file = {SPAN_LIT("given"), SPAN_LIT("!")};
    static const char code_c[] =
        "#include <stdio.h>\nint main(int n, char **a) { char t[9]; "
        "FILE *f = fopen(\"given\", \"r\"); fopen(\"/tmp/left\", \"wx\") "
        "|| puts(\"not fresh\"); printf(\"%d%s%c\", n, fgets(t, 9, stdin), "
        "fgetc(f)); }\n",
                      code_py[] = "import socket, sys\nopen('/tmp/left', 'x')\n"
                                  "s = socket.socket(socket.AF_UNIX)\ns.bind('\\0left')\n"
                                  "print(len(sys.argv), input(), "
                                  "open('given').read(), sep='', end='')\n";
    struct box_leftovers before = box_fixture_settled(&fixture), after;
    for (int i = 0; i < 2; i++) {
        struct box_job job =
            box_fixture_job(i ? LANGUAGE_python : LANGUAGE_c, i ? code_py : code_c);
        struct box_report report[2];
        struct err err;
        job.files = &file;
        job.file_count = 1;
        build(&job, &report[0]);
        assert_true(box_built(job.language, &report[0].evidence));
        assert_false(report[0].evidence.run.ran);
        box_report_done(&report[0]);
        uint64_t nets = 0;
        for (int round = 0; round < 5; round++) {
            struct box_job one = run_of(&job, "one", NULL), two = run_of(&job, "two", &arg);
            assert_ok(box_run_built(fixture.box, &job.id, &one, &err), err);
            assert_ok(box_run_built(fixture.box, &job.id, &two, &err), err);
            box_fixture_next(&fixture, &report[0]);
            box_fixture_next(&fixture, &report[1]);
            int first = uuid_eq(&report[0].id, &one.id) ? 0 : 1;
            expect(&report[first], CAUSE_normal_exit, "1one!");
            expect(&report[!first], CAUSE_normal_exit, "2two!");
            assert_true(report[0].evidence.ns_mnt != report[1].evidence.ns_mnt &&
                        report[0].evidence.ns_pid != report[1].evidence.ns_pid &&
                        report[0].evidence.ns_net != report[1].evidence.ns_net);
            /* Of the program's earlier runs; the first two had none. */
            nets = round ? nets : report[0].evidence.ns_net ^ report[1].evidence.ns_net;
            assert_int_equal(report[0].evidence.ns_net ^ report[1].evidence.ns_net, nets);
            box_report_done(&report[0]);
            box_report_done(&report[1]);
        }
        assert_ok(box_release(fixture.box, &job.id, &err), err);
        assert_ok(box_release(fixture.box, &job.id, &err), err); /* unknown: nothing */
    }
    after = box_fixture_settled(&fixture);
    assert_memory_equal(&before, &after, sizeof after);
}

static void test_built_badly(void **state)
{
    (void)state;
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_c, "int main(void) { return x; }\n");
    build(&job, &report);
    assert_false(box_built(job.language, &report.evidence));
    expect(&report, CAUSE_compile_error, NULL);
    box_report_done(&report);
    /* Nothing is kept of it: a run of it is no request, and ends the connection. */
    struct err err;
    struct box *box;
    struct box_info info;
    assert_ok(box_open(fixture.socket, 5000, &box, &info, &err), err);
    struct box_job run = run_of(&job, "", NULL);
    assert_ok(box_run_built(box, &job.id, &run, &err), err);
    int got;
    while ((got = box_next(box, &report, &err)) == 0)
        usleep(1000);
    assert_int_equal(got, -1);
    box_close(box);
}

/* What a client built goes with it, and is nobody else's. */
static void test_built_goes_with_its_client(void **state)
{
    (void)state;
    struct err err;
    struct box *box;
    struct box_info info;
    struct box_report report;
    struct box_leftovers before = box_fixture_settled(&fixture), after;
    struct box_job job = box_fixture_job(LANGUAGE_python, "print(1)\n");
    assert_ok(box_open(fixture.socket, 5000, &box, &info, &err), err);
    for (int i = 0; i <= BOX_BUILT_MAX; i++) {
        job.id.bytes[15] = (uint8_t)i;
        assert_ok(box_build(box, &job, &err), err);
        while (box_next(box, &report, &err) == 0)
            usleep(100);
        assert_int_equal(box_built(job.language, &report.evidence), i < BOX_BUILT_MAX);
        box_report_done(&report);
    }
    job.id.bytes[15] = 0; /* built anew in its own place */
    assert_ok(box_build(box, &job, &err), err);
    while (box_next(box, &report, &err) == 0)
        usleep(100);
    assert_true(box_built(job.language, &report.evidence));
    box_report_done(&report);
    box_close(box);
    after = box_fixture_settled(&fixture);
    assert_memory_equal(&before, &after, sizeof after);
}

/* Made ahead or by the clone: a network namespace serves one job. Two neighbours in time are
 * compared, because the kernel gives the number of one that is gone out again. */
static void test_a_network_serves_once(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (int i = 0; i < 12; i++) {
        struct box_report report;
        struct box_job job = box_fixture_job(LANGUAGE_python, "print('hello')\n");
        box_fixture_run(&fixture, &job, &report);
        expect(&report, CAUSE_normal_exit, "hello\n");
        assert_true(report.evidence.controls_applied & (1u << CONTROL_network_namespace));
        assert_true(report.evidence.ns_net != 0 && report.evidence.ns_net != before);
        before = report.evidence.ns_net;
        box_report_done(&report);
        if (i % 3 == 0) /* time for some to be made ahead */
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    struct err err;
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_python, "import time\ntime.sleep(60)\n");
    (void)box_fixture_settled(&fixture); /* with much left of other jobs it would not be started */
    assert_ok(box_submit(fixture.box, &job, &err), err);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_ok(box_cancel(fixture.box, &job.id, &err), err);
    box_fixture_next(&fixture, &report);
    expect(&report, CAUSE_ie_cancelled, NULL);
    assert_true(report.evidence.run.group_empty);
    box_report_done(&report);
    /* The same before the launcher could let the program go, and one unknown to it. */
    job = box_fixture_job(LANGUAGE_python, "import time\ntime.sleep(60)\n");
    assert_ok(box_submit(fixture.box, &job, &err), err);
    assert_ok(box_cancel(fixture.box, &job.id, &err), err);
    assert_ok(box_cancel(fixture.box, &job.project, &err), err);
    box_fixture_next(&fixture, &report);
    expect(&report, CAUSE_ie_cancelled, NULL);
    assert_false(report.evidence.run.ran);
    box_report_done(&report);
}

/* Queued behind others' jobs, and in the middle of a compile. */
static void test_cancel_queued(void **state)
{
    (void)state;
    struct err err;
    struct box_report report;
    struct box *other = NULL;
    struct box_info info;
    struct box_job jobs[3];
    assert_ok(box_open(fixture.socket, 5000, &other, &info, &err), err);
    for (int i = 0; i < 2; i++) {
        jobs[i] = box_fixture_job(LANGUAGE_c, pause_c);
        assert_ok(box_submit(other, &jobs[i], &err), err);
    }
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    jobs[2] = box_fixture_job(LANGUAGE_c, hello_c);
    assert_ok(box_submit(fixture.box, &jobs[2], &err), err);
    assert_ok(box_cancel(fixture.box, &jobs[2].id, &err), err);
    box_fixture_next(&fixture, &report);
    expect(&report, CAUSE_ie_cancelled, NULL);
    assert_true(report.evidence.setup_ok && !report.evidence.compile.ran);
    box_report_done(&report);
    box_close(other);
    /* At some moments of a compile, to hit the seams between the phases. */
    for (int i = 0; i < 12; i++) {
        struct box_job job = box_fixture_job(LANGUAGE_c, pause_c);
        assert_ok(box_submit(fixture.box, &job, &err), err);
        nanosleep(&(struct timespec){.tv_nsec = i * 10000000}, NULL);
        assert_ok(box_cancel(fixture.box, &job.id, &err), err);
        box_fixture_next(&fixture, &report);
        expect(&report, CAUSE_ie_cancelled, NULL);
        box_report_done(&report);
    }
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

/* The launcher closes the connection, and within a second. */
static void assert_closed(int fd, const char *what)
{
    char byte;
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    if (poll(&poller, 1, 1000) != 1 || read(fd, &byte, 1) > 0)
        fail_msg("the connection stays open after: %s", what);
    close(fd);
}

static void test_garbage(void **state)
{
    (void)state;
    static char large[200 * 1024];
    static const char *const texts[] = {
        "garbage",
        "{",
        "[]",
        "null",
        "{\"type\":\"job\"}",
        "{\"type\":\"cancel\"}",
        "{\"type\":\"cancel\",\"id\":\"x\"}",
        "{\"type\":7}",
        "{\"type\":\"cancel\",\"id\":\"01890000-0000-7000-8000-000000000000\",\"more\":1}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["};
    memset(large, '[', sizeof large);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        int fd = raw_connection();
        assert_true(write(fd, texts[i], strlen(texts[i])) > 0);
        assert_closed(fd, texts[i]);
    }
    int fd = raw_connection();
    if (write(fd, large, sizeof large) > 0)
        assert_closed(fd, "a message of 200 KiB");
    hello(&fixture, LANGUAGE_python, hello_py);
}

/* A whole job with descriptors that are no sealed memfds, or with one changed member. */
static void test_bad_jobs(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"\"python\"", "\"cobol\""},           {"\"judge\"", "\"root\""},
        {"\"cpu_ms\":4000", "\"cpu_ms\":-1"},  {"\"cpu_ms\":4000", "\"cpu_ms\":1e300"},
        {"\"cpu_ms\":4000", "\"cpu_ms\":1.5"}, {"\"cpu_ms\":4000", "\"cpu_ms\":\"4\""},
        {"\"memory_bytes\"", "\"memory\""},    {"\"processes\":10", "\"processes\":0"}};
    struct err err;
    for (size_t i = 0; i <= COUNT_OF(changes); i++) {
        struct wire_request request = {.kind = WIRE_JOB,
                                       .job = box_fixture_job(LANGUAGE_python, "")};
        BUF_AUTO struct buf text;
        buf_init(&text, BOX_MESSAGE_BYTES);
        assert_ok(wire_encode_request(&request, &text, &err), err);
        BUF_AUTO struct buf changed;
        buf_init(&changed, BOX_MESSAGE_BYTES);
        const char *whole = buf_text(&text);
        const char *at = i < COUNT_OF(changes) ? strstr(whole, changes[i][0]) : NULL;
        assert_true(at || i == COUNT_OF(changes));
        if (at)
            buf_printf(&changed, "%.*s%s%s", (int)(at - whole), whole, changes[i][1],
                       at + strlen(changes[i][0]));
        else
            buf_puts(&changed, whole); /* right, but without descriptors */
        int fd = raw_connection();
        assert_int_equal(wire_send(fd, buf_span(&changed), NULL, 0, &err), 1);
        assert_closed(fd, buf_text(&changed));
    }
}

static void test_unsealed_descriptors(void **state)
{
    (void)state;
    struct err err;
    struct wire_request request = {.kind = WIRE_JOB, .job = box_fixture_job(LANGUAGE_python, "")};
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    assert_ok(wire_encode_request(&request, &text, &err), err);
    int fd = raw_connection(), pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(wire_send(fd, buf_span(&text), pipes, 2, &err), 1);
    char *reply = malloc(BOX_MESSAGE_BYTES);
    ssize_t got = read(fd, reply, BOX_MESSAGE_BYTES - 1);
    assert_true(got > 0);
    reply[got] = '\0';
    assert_non_null(strstr(reply, "no sealed memfd"));
    free(reply);
    close(pipes[0]);
    close(pipes[1]);
    close(fd);
}

/* Waits up to 5 s for the launcher to hold no more than before. */
static void assert_nothing_left(struct box_leftovers before)
{
    struct box_leftovers now = {0};
    for (int i = 0; i < 500; i++) {
        now = box_fixture_leftovers(&fixture);
        if (now.groups <= before.groups && now.mounts <= before.mounts &&
            now.children <= before.children && now.descriptors <= before.descriptors)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("left behind: groups %u -> %u, mounts %u -> %u, children %u -> %u, descriptors %u "
             "-> %u",
             before.groups, now.groups, before.mounts, now.mounts, before.children, now.children,
             before.descriptors, now.descriptors);
}

static void test_client_dies(void **state)
{
    (void)state;
    struct box_leftovers before = box_fixture_settled(&fixture);
    struct box *other = NULL;
    struct box_info info;
    struct err err;
    assert_ok(box_open(fixture.socket, 5000, &other, &info, &err), err);
    for (uint32_t i = 0; i < info.slots; i++) {
        struct box_job job = box_fixture_job(LANGUAGE_c, pause_c);
        assert_ok(box_submit(other, &job, &err), err);
    }
    struct box_job job = box_fixture_job(LANGUAGE_c, pause_c);
    assert_err(box_submit(other, &job, &err), err, ERR_BUSY);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_true(box_fixture_leftovers(&fixture).children > 0);
    box_close(other);
    assert_nothing_left(before);
    hello(&fixture, LANGUAGE_c, hello_c);
}

static void test_many_jobs_leave_nothing(void **state)
{
    (void)state;
    static const char *const codes[] = {
        "import os\nfor i in range(3):\n if os.fork() == 0: break\n", "import os\nos.abort()\n",
        "open('/tmp/x', 'w').write('x' * 9000)\n", "import os\nos.kill(os.getpid(), 9)\n"};
    struct box_leftovers before = box_fixture_settled(&fixture);
    for (int i = 0; i < 300; i++) {
        struct box_report report;
        struct box_job job = box_fixture_job(LANGUAGE_python, codes[i % 4]);
        box_fixture_run(&fixture, &job, &report);
        assert_true(report.evidence.setup_ok && report.evidence.run.group_empty);
        box_report_done(&report);
    }
    assert_nothing_left(before);
}

static unsigned processes_named(const char *wanted)
{
    char command[256], line[64];
    unsigned count = 0;
    for (int pid = 2; pid < 65536; pid++) {
        snprintf(command, sizeof command, "/proc/%d/comm", pid);
        FILE *file = fopen(command, "re");
        if (!file)
            continue;
        if (fgets(line, sizeof line, file) && strncmp(line, wanted, strlen(wanted)) == 0)
            count++;
        fclose(file);
    }
    return count;
}

static void test_launcher_dies(void **state)
{
    (void)state;
    struct err err;
    struct box_report report;
    static const char named_py[] =
        "import time\nopen('/proc/self/comm', 'w').write('boxkilled')\ntime.sleep(60)\n";
    struct box_job job = box_fixture_job(LANGUAGE_python, named_py);
    assert_ok(box_submit(fixture.box, &job, &err), err);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    assert_int_equal(processes_named("boxkilled"), 1);
    unsigned instance = box_fixture_instance(&fixture);
    assert_true(box_fixture_groups(instance) > 0);
    kill(fixture.pid, SIGKILL);
    waitpid(fixture.pid, NULL, 0);
    int got;
    do
        got = box_next(fixture.box, &report, &err);
    while (got == 0);
    assert_int_equal(got, -1);
    assert_int_equal(err.code, ERR_LAUNCHER);
    for (int i = 0; i < 100 && processes_named("boxkilled") > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(processes_named("boxkilled"), 0);
    /* Its groups stay until some launcher starts, which may already have been another test's. */
    box_close(fixture.box);
    box_fixture_restart(&fixture, (const char *const[]){"--slots", "2", NULL});
    if (box_fixture_instance(&fixture) != instance)
        assert_int_equal(box_fixture_groups(instance), 0);
    else
        assert_int_equal(box_fixture_leftovers(&fixture).groups, 0);
    hello(&fixture, LANGUAGE_python, hello_py);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_languages),
        cmocka_unit_test(test_a_network_serves_once),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_queued),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_bad_jobs),
        cmocka_unit_test(test_args_and_files),
        cmocka_unit_test(test_built_once),
        cmocka_unit_test(test_built_badly),
        cmocka_unit_test(test_built_goes_with_its_client),
        cmocka_unit_test(test_unsealed_descriptors),
        cmocka_unit_test(test_client_dies),
        cmocka_unit_test(test_many_jobs_leave_nothing),
        cmocka_unit_test(test_launcher_dies),
    };
    return box_fixture_group(&fixture, (const char *const[]){"--slots", "2", NULL}, "box_service",
                             tests, COUNT_OF(tests));
}
