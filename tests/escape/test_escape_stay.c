/* What a run leaves for the next run of the same built program in the same sandbox
 * (sandbox/stay.h): stay.def, and what does not depend on a layer: charges, limits, descriptors,
 * signals, and every way a run can end. Once against the product's launcher, where every run must
 * see what the first saw, and with --layers-off against one that makes nothing anew: there each
 * must be seen. */
#include "lib/base/cleanup.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <unistd.h>

#define RUNS 4
#define OUT_MAX 256

static struct box_fixture fixture;

struct left {
    const char *name;
    bool keeps;
    const char *code;
};
static const struct left lefts[] = {
#define LEFT(name, keeps, code) {#name, keeps, code},
#include "tests/escape/stay.def"
#undef LEFT
};

static const char head[] =
    "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <semaphore.h>\n"
    "#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
    "#include <sys/file.h>\n#include <sys/ipc.h>\n#include <sys/mman.h>\n#include <sys/msg.h>\n"
    "#include <sys/resource.h>\n#include <sys/sem.h>\n#include <sys/shm.h>\n"
    "#include <sys/socket.h>\n#include <sys/stat.h>\n#include <sys/statvfs.h>\n"
    "#include <sys/syscall.h>\n#include <sys/un.h>\n#include <sys/wait.h>\n#include <time.h>\n"
    "#include <unistd.h>\n"
    "void make(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0600)); }\n"
    "void stay(void) { fflush(stdout); if (fork() == 0) { setsid(); for (;;) pause(); } }\n"
    "void others(void) { int n = 0; for (int pid = 3; pid < 60; pid++)\n"
    "    n += kill(pid, 0) == 0 || errno == EPERM; printf(\"%d\", n); }\n"
    /* Into sockets that are sent over one another: then nobody has it, and it is still there. */
    "void fly(int fd) { for (int i = 0; i < 8; i++) { int p[2]; socketpair(AF_UNIX, SOCK_STREAM, "
    "0, p);\n"
    "    int fds[] = {p[0], p[1], fd}; union { char b[CMSG_SPACE(12)]; struct cmsghdr h; } c;\n"
    "    struct iovec v = {\"x\", 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1,\n"
    "        .msg_control = &c, .msg_controllen = sizeof c};\n"
    "    c.h = (struct cmsghdr){CMSG_LEN(12), SOL_SOCKET, SCM_RIGHTS};\n"
    "    memcpy(CMSG_DATA(&c.h), fds, 12); if (sendmsg(p[0], &m, 0) != 1) exit(9);\n"
    "    close(p[0]); close(p[1]); } }\n"
    "int deep(int n) { volatile char a[65536]; a[0] = (char)n; return deep(n + 1) + a[0]; }\n"
    "int main(int argc, char **argv)\n{\n    int what = 0;\n    scanf(\"%d\", &what);\n";

/* Builds a program; its id is the job's. */
static struct box_job build(const char *code, char **text)
{
    struct box_report report;
    struct err err;
    assert_true(asprintf(text, "%s%s\n    return 0;\n}\n", head, code) > 0);
    struct box_job job = box_fixture_job(LANGUAGE_c, *text);
    assert_ok(box_build(fixture.box, &job, &err), err);
    box_fixture_next(&fixture, &report);
    if (!box_built(LANGUAGE_c, &report.evidence))
        fail_msg("%.*s", (int)report.errout.len, (const char *)report.errout.data);
    box_report_done(&report);
    return job;
}

static void run(const struct box_job *built, const char *input, struct box_report *report)
{
    struct err err;
    struct box_job job = box_fixture_job(built->language, "");
    job.run = built->run;
    job.stdin_data = span_text(input);
    assert_ok(box_run_built(fixture.box, &built->id, &job, &err), err);
    box_fixture_next(&fixture, report);
}

static void release(const struct box_job *built, char *text)
{
    struct err err;
    assert_ok(box_release(fixture.box, &built->id, &err), err);
    free(text);
}

/* How many of the later runs saw something else than the first, and how many shared a sandbox. */
static void try_left(const struct left *left, unsigned *differ, unsigned *shared)
{
    AUTO_FREE char *first = NULL;
    char *text = NULL;
    struct box_job job = build(left->code, &text);
    *differ = *shared = 0;
    for (int i = 0; i < RUNS; i++) {
        struct box_report report;
        run(&job, "", &report);
        const struct evidence *ev = &report.evidence;
        if (!ev->setup_ok)
            fail_msg("%s: %s", left->name, ev->setup_error);
        if (!first)
            first = strndup(report.out.data ? report.out.data : "", report.out.len);
        else
            *differ += !span_is(report.out, first);
        *shared += ev->sandbox_runs > 0;
        box_report_done(&report);
    }
    printf("%-22s first saw \"%s\", %u of %d differ, %u in a sandbox that had one before\n",
           left->name, first, *differ, RUNS - 1, *shared);
    release(&job, text);
}

static void test_nothing_is_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lefts); i++) {
        unsigned differ, shared;
        try_left(&lefts[i], &differ, &shared);
        if (differ > 0 || shared != (lefts[i].keeps ? RUNS - 1 : 0))
            fail_msg("%s: %u differ, %u shared", lefts[i].name, differ, shared);
    }
}

static void test_all_is_seen(void **state)
{
    (void)state;
    unsigned blind = 0;
    for (size_t i = 0; i < COUNT_OF(lefts); i++) {
        unsigned differ, shared;
        try_left(&lefts[i], &differ, &shared);
        blind += differ == 0 || shared == 0;
    }
    assert_int_equal(blind, 0);
}

/* Of each end, what the next run is: in the same sandbox or in one of its own. */
static void test_every_end(void **state)
{
    (void)state;
    static const struct end {
        const char *name, *code;
        enum cause cause;
        bool keeps;
    } ends[] = {
        {"return", "return 0;", CAUSE_normal_exit, true},
        {"exit 3", "exit(3);", CAUSE_re_nonzero_exit, true},
        {"abort", "abort();", CAUSE_re_fatal_signal, true},
        {"bad address", "*(volatile int *)8 = 1;", CAUSE_re_fatal_signal, true},
        {"deep stack", "deep(0);", CAUSE_re_fatal_signal, true},
        {"SIGKILL", "kill(getpid(), SIGKILL);", CAUSE_re_fatal_signal, false},
        {"SIGKILL to others", "kill(-1, SIGKILL);", CAUSE_normal_exit, true},
        {"signals to the init",
         "for (int s = 1; s < 65; s++) if (kill(1, s) == 0) exit(9); sigqueue(1, SIGUSR1, "
         "(union sigval){0});",
         CAUSE_normal_exit, true},
        {"alarm for later", "alarm(1); timer_t t; timer_create(CLOCK_MONOTONIC, NULL, &t);",
         CAUSE_normal_exit, true},
        {"CPU time", "for (;;);", CAUSE_tle_cpu_judge, false},
        {"wall time", "for (;;) pause();", CAUSE_tle_wall_judge, false},
        {"stopped", "kill(getpid(), SIGSTOP);", CAUSE_tle_wall_judge, false},
        {"memory", "for (;;) memset(malloc(1 << 20), 1, 1 << 20);", CAUSE_mle_kernel_oom, false},
        {"memory in a child",
         "if (fork() == 0) for (;;) memset(malloc(1 << 20), 1, 1 << 20); wait(NULL);",
         CAUSE_mle_kernel_oom, false},
        {"processes", "for (int i = 0; i < 12; i++) fork(); usleep(20000); exit(1);",
         CAUSE_ple_cgroup_pids, false},
        {"output", "for (;;) puts(\"0123456789012345678901234567890123456789\");",
         CAUSE_output_limit_exceeded, false},
        {"denied call", "syscall(SYS_ptrace, 0, 0, 0, 0);", CAUSE_normal_exit, false},
        {"foreign call", "__asm__(\"int $0x80\" :: \"a\"(20));", CAUSE_seccomp_violation, false},
        {"file too large",
         "int fd = open(\"/tmp/a\", O_CREAT | O_RDWR, 0600);"
         "static char p[1 << 20]; write(fd, p, sizeof p); write(fd, p, 9);",
         CAUSE_fse_limit_exceeded, true},
        {"daemon", "stay();", CAUSE_normal_exit, false},
    };
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        char *text = NULL, *code = NULL;
        assert_true(asprintf(&code, "if (what == 1) { %s return 0; } others(); puts(\"fine\");",
                             ends[i].code) > 0);
        struct box_job job = build(code, &text);
        job.run.cpu_ms = 300;
        job.run.memory_bytes = 128 << 20; /* with less CPU time than that, also on a busy host */
        job.run.wall_ms = 1000;
        for (int round = 0; round < 2; round++) {
            struct box_report report;
            run(&job, "1", &report);
            struct decision decision = verdict_decide(&report.evidence, TAXONOMY_STANDARD);
            if (decision.cause != ends[i].cause)
                fail_msg("%s ended as %s, %s", ends[i].name, cause_name(decision.cause),
                         report.evidence.setup_error);
            uint64_t before = report.evidence.sandbox_runs, pid = report.evidence.ns_pid;
            box_report_done(&report);
            run(&job, "0", &report);
            const struct evidence *ev = &report.evidence;
            if (!span_is(report.out, "0fine\n") || !ev->setup_ok)
                fail_msg("after %s: \"%.*s\" %s", ends[i].name, (int)report.out.len,
                         (const char *)report.out.data, ev->setup_error);
            if (ev->sandbox_runs != (ends[i].keeps ? before + 1 : 0) ||
                (ends[i].keeps && ev->ns_pid != pid))
                fail_msg("after %s: run %llu of its sandbox", ends[i].name,
                         (unsigned long long)ev->sandbox_runs);
            box_report_done(&report);
        }
        release(&job, text);
        free(code);
    }
}

/* What is measured of a run is its own, and what it may is what the first might. */
static void test_own_measures(void **state)
{
    (void)state;
    static const char code[] =
        "    struct rlimit r; getrlimit(RLIMIT_NOFILE, &r); int fds = 0;\n"
        "    for (int i = 0; i < 256; i++) fds += fcntl(i, F_GETFD) >= 0;\n"
        "    printf(\"%d %d %d\", (int)r.rlim_cur, fds, (int)getppid());\n"
        "    if (what == 1) {\n"
        "        r.rlim_cur = r.rlim_max = 9; setrlimit(RLIMIT_NOFILE, &r);\n"
        "        dup(0); memset(malloc(100 << 20), 1, 100 << 20);\n"
        "        for (int i = 0; i < 4; i++) if (fork() == 0) { usleep(50000); _exit(0); }\n"
        "        while (wait(NULL) > 0); while (clock() < CLOCKS_PER_SEC / 3);\n    }";
    char *text = NULL;
    struct box_job job = build(code, &text);
    struct phase_evidence fresh = {0};
    uint64_t nets = 0;
    for (int i = 0; i < 6; i++) {
        struct box_report report;
        run(&job, i % 2 ? "1" : "0", &report);
        const struct evidence *ev = &report.evidence;
        const struct phase_evidence *pe = &ev->run;
        assert_true(span_is(report.out, "32 3 1"));
        assert_int_equal(ev->sandbox_runs, i);
        if (i == 0)
            fresh = *pe;
        nets = i ? nets : ev->ns_net;
        assert_int_equal(ev->ns_net, nets);
        if (i % 2 == 0) {
            assert_int_equal(pe->pids_peak, fresh.pids_peak);
            assert_true(pe->cpu_ns < 200000000);
            assert_true(pe->memory_peak_bytes < fresh.memory_peak_bytes + (2 << 20));
            assert_true(pe->rss_max_bytes < fresh.rss_max_bytes + (1 << 20));
        } else {
            assert_true(pe->pids_peak == 5 && pe->cpu_ns > 300000000);
            assert_true(pe->memory_peak_bytes > 100 << 20 && pe->rss_max_bytes > 100 << 20);
        }
        assert_memory_equal(&pe->limits, &fresh.limits, sizeof fresh.limits);
        box_report_done(&report);
    }
    release(&job, text);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest on[] = {cmocka_unit_test(test_nothing_is_left),
                                           cmocka_unit_test(test_every_end),
                                           cmocka_unit_test(test_own_measures)};
    static const struct CMUnitTest off[] = {cmocka_unit_test(test_all_is_seen)};
    static const char *const without[] = {"--permissive", "--disable-layer", "renew", NULL};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && strcmp(argv[1], "--layers-off") == 0)
        return box_fixture_group(&fixture, without, "stay_layers_off", off, COUNT_OF(off));
    return box_fixture_group(&fixture, NULL, "stay", on, COUNT_OF(on));
}
