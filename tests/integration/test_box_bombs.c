/* What really happens to hostile and broken programs in C and Python: one row a program, with the
 * verdict it must get. None may end as IE, and only those that handle the refusal themselves AC. */
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <signal.h>

#define C_HEAD                                                                                     \
    "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <pthread.h>\n"          \
    "#include <sched.h>\n#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n"           \
    "#include <string.h>\n#include <sys/mman.h>\n#include <sys/ptrace.h>\n"                        \
    "#include <sys/socket.h>\n#include <sys/syscall.h>\n#include <sys/wait.h>\n"                   \
    "#include <unistd.h>\n"
#define C_MAIN(body) C_HEAD "int main(void)\n{\n" body "\nreturn 0;\n}\n"
#define PY(body) "import os,sys,time,threading,signal\n" body

struct bomb {
    const char *name;
    enum language language;
    const char *code;
    enum verdict verdict;
    enum cause cause;
    int exit_code, signal; /* -1 = any */
    uint64_t cpu_ms, wall_ms;
    const char *call; /* a system call that must be among the events */
};

#define L_C LANGUAGE_c
#define L_PY LANGUAGE_python
#define V(verdict, cause) VERDICT_##verdict, CAUSE_##cause
static const struct bomb bombs[] = {
    {"c_memory", L_C,
     C_MAIN("for (;;) { char *p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); }"),
     V(MLE, mle_kernel_oom), -1, -1, 0, 0, NULL},
    {"c_child_eats_memory", L_C,
     C_MAIN("if (!fork()) for (;;) { char *p = malloc(1 << 20); if (p) memset(p, 1, 1 << 20); }\n"
            "wait(NULL);"),
     V(MLE, mle_kernel_oom), -1, -1, 0, 0, NULL},
    {"c_shm_memory", L_C,
     C_MAIN("char *p = mmap(0, 1 << 30, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);\n"
            "memset(p, 1, 1 << 30);"),
     V(MLE, mle_kernel_oom), -1, -1, 0, 0, NULL},
    {"c_fork_bomb", L_C,
     C_MAIN("for (;;) { int p = fork(); if (p < 0) exit(1); if (!p) pause(); }"),
     V(RE, ple_cgroup_pids), 1, -1, 0, 0, NULL},
    {"c_fork_bomb_stubborn", L_C, C_MAIN("for (;;) fork();"), V(TLE, tle_cpu_judge), -1, -1, 500,
     5000, NULL},
    {"c_thread_bomb", L_C,
     C_HEAD "static void *f(void *p) { pause(); return p; }\n"
            "int main(void) { pthread_t t; for (;;) if (pthread_create(&t, 0, f, 0)) exit(1); }",
     V(RE, ple_cgroup_pids), 1, -1, 0, 0, NULL},
    {"c_threads_work", L_C,
     C_HEAD "static void *f(void *p) { return p; }\n"
            "int main(void) { for (int i = 0; i < 100; i++) { pthread_t t;\n"
            "if (pthread_create(&t, 0, f, 0) || pthread_join(t, 0)) exit(1); } return 0; }",
     V(AC, normal_exit), 0, -1, 0, 0, NULL},
    {"c_descriptors", L_C, C_MAIN("for (;;) if (dup(0) < 0) return errno == EMFILE ? 1 : 2;"),
     V(RE, re_nonzero_exit), 1, -1, 0, 0, NULL},
    {"c_file_size", L_C,
     C_MAIN("int f = open(\"/tmp/x\", O_CREAT | O_WRONLY, 0600); char b[65536] = {1};\n"
            "for (;;) if (write(f, b, sizeof b) < 0) return 1;"),
     V(SIG, fse_limit_exceeded), -1, SIGXFSZ, 0, 0, NULL},
    {"c_tmp_full", L_C,
     C_MAIN("char n[32]; static char b[1 << 20];\n"
            "for (int i = 0;; i++) { sprintf(n, \"/tmp/%d\", i);\n"
            "int f = open(n, O_CREAT | O_WRONLY, 0600); if (f < 0) return 2;\n"
            "if (write(f, b, sizeof b) != sizeof b) return errno == ENOSPC || !errno ? 1 : 3;\n"
            "close(f); }"),
     V(RE, re_nonzero_exit), 1, -1, 0, 0, NULL},
    {"c_output", L_C, C_MAIN("for (;;) puts(\"endless endless endless\");"),
     V(RE, output_limit_exceeded), -1, -1, 0, 0, NULL},
    {"c_stderr_output", L_C, C_MAIN("for (;;) fputs(\"endless endless\", stderr);"),
     V(RE, output_limit_exceeded), -1, -1, 0, 0, NULL},
    {"c_spin", L_C, C_MAIN("for (;;) ;"), V(TLE, tle_cpu_judge), -1, -1, 300, 5000, NULL},
    {"c_spin_ignores_signals", L_C,
     C_MAIN("for (int i = 1; i < 64; i++) signal(i, SIG_IGN); for (;;) ;"), V(TLE, tle_cpu_judge),
     -1, -1, 300, 5000, NULL},
    {"c_sleep", L_C, C_MAIN("pause();"), V(TLE, tle_wall_judge), -1, -1, 1000, 400, NULL},
    {"c_segv", L_C, C_MAIN("*(volatile int *)8 = 1;"), V(SIG, re_fatal_signal), -1, SIGSEGV, 0, 0,
     NULL},
    {"c_abort", L_C, C_MAIN("abort();"), V(SIG, re_fatal_signal), -1, SIGABRT, 0, 0, NULL},
    {"c_kill_self", L_C, C_MAIN("kill(getpid(), SIGKILL);"), V(SIG, re_fatal_signal), -1, SIGKILL,
     0, 0, NULL},
    {"c_term_self", L_C, C_MAIN("kill(getpid(), SIGTERM);"), V(SIG, re_fatal_signal), -1, SIGTERM,
     0, 0, NULL},
    {"c_xcpu_self", L_C, C_MAIN("raise(SIGXCPU);"), V(SIG, re_fatal_signal), -1, SIGXCPU, 0, 0,
     NULL},
    {"c_stack", L_C,
     C_HEAD "int f(int n) { volatile char b[4096]; b[0] = 1; return n ? f(n - 1) + b[0] : 0; }\n"
            "int main(void) { return f(1 << 30); }",
     V(SIG, re_fatal_signal), -1, SIGSEGV, 0, 0, NULL},
    {"c_exit_7", L_C, C_MAIN("return 7;"), V(RE, re_nonzero_exit), 7, -1, 0, 0, NULL},
    {"c_daemon", L_C, C_MAIN("if (!fork()) { setsid(); if (!fork()) pause(); _exit(0); }"),
     V(AC, normal_exit), 0, -1, 0, 0, NULL},
    {"c_kill_everything", L_C, C_MAIN("if (!fork()) pause(); kill(-1, SIGKILL); kill(1, SIGKILL);"),
     V(AC, normal_exit), 0, -1, 0, 0, NULL},
    {"c_inet_socket", L_C, C_MAIN("return socket(AF_INET, SOCK_STREAM, 0) < 0 ? 1 : 0;"),
     V(RE, re_nonzero_exit), 1, -1, 0, 0, NULL},
    {"c_ptrace", L_C, C_MAIN("return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 ? 1 : 0;"),
     V(RE, re_nonzero_exit), 1, -1, 0, 0, "ptrace"},
    {"c_unshare", L_C, C_MAIN("return unshare(CLONE_NEWUSER) < 0 ? 1 : 0;"), V(RE, re_nonzero_exit),
     1, -1, 0, 0, "unshare"},
    {"c_clone_newuser", L_C,
     C_MAIN("return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 ? 1 : 0;"),
     V(RE, re_nonzero_exit), 1, -1, 0, 0, "clone"},
    {"c_call_flood", L_C, C_MAIN("for (;;) ptrace(PTRACE_TRACEME, 0, 0, 0);"),
     V(RE, seccomp_violation), -1, -1, 0, 0, "ptrace"},
    {"c_i386_call", L_C, C_MAIN("__asm__ volatile(\"int $0x80\" : : \"a\"(20) : \"memory\");"),
     V(RE, seccomp_violation), -1, -1, 0, 0, NULL},
    {"c_x32_call", L_C, C_MAIN("syscall(0x40000000 | SYS_getpid);"), V(RE, seccomp_violation), -1,
     -1, 0, 0, NULL},
    {"c_compile_error", L_C, "int main(void) { return missing; }\n", V(RE, compile_error), -1, -1,
     0, 0, NULL},
    {"c_compile_bomb", L_C, "#include \"/dev/zero\"\n", V(MLE, mle_kernel_oom), -1, -1, 0, 0, NULL},
    {"c_compile_wide", L_C, "int a[1 << 29] = {1};\nint main(void) { return 0; }\n",
     V(RE, compile_error), -1, -1, 0, 0, NULL},
    {"rust_library", LANGUAGE_rust, "#![crate_type = \"rlib\"]\n", V(RE, re_nonzero_exit), 127, -1,
     0, 0, NULL},
    {"py_memory", L_PY, PY("b = []\nwhile True: b.append(bytearray(1 << 20))"),
     V(MLE, mle_kernel_oom), -1, -1, 0, 0, NULL},
    {"py_fork_bomb", L_PY, PY("while True:\n if os.fork() == 0: time.sleep(100)"),
     V(RE, ple_cgroup_pids), 1, -1, 0, 0, NULL},
    {"py_thread_bomb", L_PY,
     PY("while True: threading.Thread(target=time.sleep, args=(100,)).start()"),
     V(TLE, tle_wall_judge), -1, -1, 1000, 1000, NULL},
    {"py_descriptors", L_PY, PY("while True: os.dup(0)"), V(RE, re_nonzero_exit), 1, -1, 0, 0,
     NULL},
    {"py_file_size", L_PY,
     PY("f = open('/tmp/x', 'wb', buffering=0)\nwhile True: f.write(bytes(65536))"),
     V(RE, re_nonzero_exit), 1, -1, 0, 0, NULL},
    {"py_output", L_PY, PY("while True: print('endless endless endless')"),
     V(RE, output_limit_exceeded), -1, -1, 0, 0, NULL},
    {"py_spin", L_PY, PY("while True: pass"), V(TLE, tle_cpu_judge), -1, -1, 300, 5000, NULL},
    {"py_sleep", L_PY, PY("time.sleep(100)"), V(TLE, tle_wall_judge), -1, -1, 1000, 400, NULL},
    {"py_abort", L_PY, PY("os.abort()"), V(SIG, re_fatal_signal), -1, SIGABRT, 0, 0, NULL},
    {"py_kill_self", L_PY, PY("os.kill(os.getpid(), 9)"), V(SIG, re_fatal_signal), -1, SIGKILL, 0,
     0, NULL},
    {"py_syntax_error", L_PY, "def\n", V(RE, re_nonzero_exit), 1, -1, 0, 0, NULL},
};

static struct box_fixture fixture;

static void check_call(const struct phase_evidence *phase, const char *call)
{
    for (size_t i = 0; i < SECCOMP_EVENTS_MAX && i < phase->seccomp_count; i++)
        if (strcmp(phase->seccomp[i].name, call) == 0)
            return;
    fail_msg("no event %s among %llu", call, (unsigned long long)phase->seccomp_count);
}

static void test_bomb(void **state)
{
    const struct bomb *bomb = *state;
    struct box_report report;
    struct box_job job = box_fixture_job(bomb->language, bomb->code);
    if (bomb->cpu_ms)
        job.run.cpu_ms = bomb->cpu_ms;
    if (bomb->wall_ms)
        job.run.wall_ms = bomb->wall_ms;
    box_fixture_run(&fixture, &job, &report);
    const struct evidence *ev = &report.evidence;
    const struct phase_evidence *phase = evidence_phase(ev);
    struct decision decision = verdict_decide(ev, TAXONOMY_STANDARD);
    if (decision.verdict != bomb->verdict || decision.cause != bomb->cause)
        fail_msg("%s %s (exit %d, signal %d, actions %x, oom %llu, %s), expected %s %s",
                 verdict_name(decision.verdict), cause_name(decision.cause), phase->exit_code,
                 phase->signal, phase->actions, (unsigned long long)phase->oom_kills,
                 ev->setup_error, verdict_name(bomb->verdict), cause_name(bomb->cause));
    if (bomb->exit_code >= 0)
        assert_int_equal(phase->exit_code, bomb->exit_code);
    if (bomb->signal >= 0)
        assert_int_equal(phase->signal, bomb->signal);
    if (bomb->call)
        check_call(phase, bomb->call);
    else
        assert_int_equal(phase->seccomp_count, 0);
    assert_true(phase->group_empty);
    assert_int_equal(phase->survivors, 0);
    /* Never later than the limit and a second. */
    assert_true(phase->wall_ns / 1000000 <= phase->limits.wall_ms + 1000);
    assert_true(report.out.len <= job.run.output_bytes);
    /* Landlock is the host's to have; test_escape shows it at work. */
    assert_int_equal(ev->controls_missing & ~(1u << CONTROL_landlock),
                     1u << CONTROL_user_namespace);
    box_report_done(&report);
}

/* The launcher's own group gets less than the job may have: the job dies of somebody else's limit.
 */
static void memory_short_outside(void **state)
{
    (void)state;
    struct box_report report;
    char path[96];
    snprintf(path, sizeof path, "/sys/fs/cgroup/memory/rustbox-%u/memory.limit_in_bytes",
             box_fixture_instance(&fixture));
    FILE *limit = fopen(path, "r+");
    if (!limit)
        skip(); /* control groups v2: tests/vm */
    assert_true(fputs("67108864", limit) >= 0 && fclose(limit) == 0);
    struct box_job job =
        box_fixture_job(L_PY, PY("b = []\nwhile True: b.append(bytearray(1 << 20))"));
    box_fixture_run(&fixture, &job, &report);
    struct decision decision = verdict_decide(&report.evidence, TAXONOMY_STANDARD);
    box_report_done(&report);
    limit = fopen(path, "r+");
    assert_true(limit && fputs("-1", limit) >= 0 && fclose(limit) == 0);
    if (decision.cause != CAUSE_ie_host_memory)
        fail_msg("cause %s", cause_name(decision.cause));
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(bombs) + 1];
    for (size_t i = 0; i < COUNT_OF(bombs); i++)
        tests[i] = (struct CMUnitTest){.name = bombs[i].name,
                                       .test_func = test_bomb,
                                       .initial_state = (void *)(uintptr_t)&bombs[i]};
    tests[COUNT_OF(bombs)] = (struct CMUnitTest)cmocka_unit_test(memory_short_outside);
    return box_fixture_group(&fixture, NULL, "box_bombs", tests, COUNT_OF(tests));
}
