/* Attempts to get out of the sandbox: one program, one attempt, one job. Each prints "ESCAPED" when
 * it got what it must not get. Every attempt runs twice: against the launcher with all layers,
 * where it must fail, and against one whose named layer is off, where it must succeed; else the
 * attempt itself proves nothing. The host holds a canary: a file and a value in a System V segment.
 */
#include "lib/base/cleanup.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CANARY "/tmp/rustbox-escape-canary"
#define CANARY_SHM 0x52426331
#define ABSTRACT "rustbox-escape-canary"

#define C_MAIN(body)                                                                               \
    "#define _GNU_SOURCE\n#include <dirent.h>\n#include <errno.h>\n#include <fcntl.h>\n"           \
    "#include <sched.h>\n#include <signal.h>\n#include <stddef.h>\n#include <stdio.h>\n"           \
    "#include <stdlib.h>\n#include <string.h>\n#include <sys/ipc.h>\n#include <sys/mount.h>\n"     \
    "#include <sys/ptrace.h>\n#include <sys/resource.h>\n#include <sys/shm.h>\n"                   \
    "#include <sys/socket.h>\n#include <sys/stat.h>\n#include <sys/syscall.h>\n"                   \
    "#include <sys/un.h>\n#include <sys/utsname.h>\n#include <unistd.h>\n"                         \
    "static void yes(void) { puts(\"ESCAPED\"); exit(0); }\n"                                      \
    "static int has(const char *file, const char *text) { static char b[65536];\n"                 \
    "int f = open(file, O_RDONLY); long n = f < 0 ? -1 : read(f, b, sizeof b - 1);\n"              \
    "if (n < 0) return 0; b[n] = 0; return strstr(b, text) != 0; }\n"                              \
    "int main(void)\n{\n(void)has;\n" body "\nreturn 1;\n}\n"

struct attempt {
    const char *name;
    const char *layers[3]; /* off in the second run; all NULL = cannot be left off alone or without
                              harm to the host */
    const char *code;
};

static const struct attempt attempts[] = {
    {"read_host_file", {NULL}, C_MAIN("if (has(\"" CANARY "\", \"canary\")) yes();")},
    {"read_shadow", {NULL}, C_MAIN("if (access(\"/etc/shadow\", F_OK) == 0) yes();")},
    {"host_sys", {NULL}, C_MAIN("if (access(\"/sys/kernel\", F_OK) == 0) yes();")},
    {"host_root_by_dotdot",
     {NULL},
     C_MAIN("chdir(\"/\"); for (int i = 0; i < 64; i++) chdir(\"..\");\n"
            "if (access(\"." CANARY "\", F_OK) == 0) yes();")},
    {"see_init", {"hidepid"}, C_MAIN("if (access(\"/proc/1/status\", F_OK) == 0) yes();")},
    {"host_kernel_files",
     {"hidepid"},
     C_MAIN("if (access(\"/proc/cmdline\", F_OK) == 0 || access(\"/proc/kcore\", F_OK) == 0 ||\n"
            "access(\"/proc/sys\", F_OK) == 0) yes();")},
    {"ptrace_child",
     {"seccomp"},
     C_MAIN("int p = fork(); if (!p) pause();\n"
            "int r = ptrace(PTRACE_ATTACH, p, 0, 0); kill(p, 9); if (r == 0) yes();")},
    {"user_namespace", {"seccomp"}, C_MAIN("if (unshare(CLONE_NEWUSER) == 0) yes();")},
    {"keyring", {"seccomp"}, C_MAIN("if (syscall(SYS_keyctl, 0, -3, 1) >= 0) yes();")},
    {"netlink", {"seccomp"}, C_MAIN("if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0) yes();")},
    {"memfd_exec", {"seccomp"}, C_MAIN("if (syscall(SYS_memfd_create, \"x\", 0) >= 0) yes();")},
    {"i386_call",
     {"seccomp"},
     C_MAIN("long r = -1; __asm__ volatile(\"int $0x80\" : \"=a\"(r) : \"a\"(20) : \"memory\");\n"
            "if (r > 0) yes();")},
    {"abstract_socket",
     {"network"},
     C_MAIN("struct sockaddr_un a = {AF_UNIX, \"\"}; strcpy(a.sun_path + 1, \"" ABSTRACT "\");\n"
            "int s = socket(AF_UNIX, SOCK_STREAM, 0);\n"
            "if (connect(s, (void *)&a, offsetof(struct sockaddr_un, sun_path) + 1 +\n"
            "strlen(\"" ABSTRACT "\")) == 0) yes();")},
    {"host_interfaces",
     {"network"},
     C_MAIN("static char b[65536]; int f = open(\"/proc/self/net/dev\", O_RDONLY);\n"
            "long n = read(f, b, sizeof b - 1); int lines = 0;\n"
            "for (long i = 0; i < n; i++) lines += b[i] == '\\n'; if (lines > 3) yes();")},
    {"sysv_segment",
     {"ipc", "seccomp"},
     C_MAIN("int i = shmget(0x52426331, 4096, 0); if (i < 0) return 1; char *p = shmat(i, 0, 0);\n"
            "if (p != (void *)-1 && !strcmp(p, \"canary\")) yes();")},
    {"host_name",
     {NULL},
     C_MAIN("struct utsname u; uname(&u); if (strcmp(u.nodename, \"rustbox-sandbox\")) yes();")},
    {"write_toolchain",
     {"readonly", "uid"},
     C_MAIN("int f = open(\"/box/new\", O_CREAT | O_WRONLY, 0600); if (f >= 0) yes();")},
    {"write_root",
     {"readonly", "uid"},
     C_MAIN("if (mkdir(\"/escape\", 0700) == 0) { rmdir(\"/escape\"); yes(); }")},
    {"become_root", {"caps", "seccomp"}, C_MAIN("if (setuid(0) == 0 && getuid() == 0) yes();")},
    {"is_root", {"uid"}, C_MAIN("if (getuid() == 0 || getgid() == 0) yes();")},
    {"bounding_set",
     {"caps"},
     C_MAIN("if (!has(\"/proc/self/status\", \"CapBnd:\\t0000000000000000\")) yes();")},
    {"no_new_privs",
     {"nnp", "seccomp"},
     C_MAIN("if (!has(\"/proc/self/status\", \"NoNewPrivs:\\t1\")) yes();")},
    {"mount_tmpfs",
     {"caps", "seccomp"},
     C_MAIN("if (mount(\"x\", \"/tmp\", \"tmpfs\", 0, \"\") == 0) yes();")},
    {"make_device",
     {"caps", "seccomp"},
     C_MAIN("if (mknod(\"/tmp/mem\", S_IFCHR | 0600, 0x101) == 0) yes();")},
    {"exec_from_tmp",
     {"noexec"},
     C_MAIN("static char b[1 << 20]; int i = open(\"/proc/self/exe\", O_RDONLY);\n"
            "long n = read(i, b, sizeof b); int o = open(\"/tmp/x\", O_CREAT | O_WRONLY, 0700);\n"
            "if (getenv(\"AGAIN\")) yes(); write(o, b, n); close(o);\n"
            "char *e[] = {\"AGAIN=1\", 0}, *a[] = {\"x\", 0}; execve(\"/tmp/x\", a, e);")},
    {"group_name", {"cgroup"}, C_MAIN("if (has(\"/proc/self/cgroup\", \"rustbox-\")) yes();")},
    {"open_descriptors",
     {NULL},
     C_MAIN("for (int i = 3; i < 32; i++) if (fcntl(i, F_GETFD) >= 0) yes();")},
    {"core_limit",
     {"rlimits"},
     C_MAIN("struct rlimit l; getrlimit(RLIMIT_MEMLOCK, &l); if (l.rlim_max > 0) yes();")},
    {"too_much_memory",
     {"memory"},
     C_MAIN("volatile char *p = malloc(400 << 20); if (!p) return 1;\n"
            "for (long i = 0; i < 400 << 20; i += 4096) p[i] = 1; yes();")},
};

static struct box_fixture fixture;

static bool escapes(const struct box_report *report)
{
    return report->out.len >= 7 && memmem(report->out.data, report->out.len, "ESCAPED", 7);
}

static bool attempt_escapes(struct box_fixture *box, const struct attempt *attempt)
{
    struct box_report report;
    struct box_job job = box_fixture_job(LANGUAGE_c, attempt->code);
    box_fixture_run(box, &job, &report);
    bool ran = report.evidence.setup_ok && report.evidence.run.ran, out = escapes(&report);
    if (!ran)
        print_error("did not run: %s %.*s\n", report.evidence.setup_error, (int)report.errout.len,
                    (const char *)report.errout.data);
    box_report_done(&report);
    return ran && out;
}

static void test_holds(void **state)
{
    if (attempt_escapes(&fixture, *state))
        fail_msg("got out");
}

static void test_layer_off(void **state)
{
    const struct attempt *attempt = *state;
    struct box_fixture weak;
    const char *extra[10] = {"--permissive"};
    size_t count = 1;
    for (size_t i = 0; i < 3 && attempt->layers[i]; i++) {
        extra[count++] = "--disable-layer";
        extra[count++] = attempt->layers[i];
    }
    box_fixture_start(&weak, extra);
    bool out = attempt_escapes(&weak, attempt);
    box_fixture_stop(&weak); /* before anything can fail: a launcher must not outlive the test */
    if (!out)
        fail_msg("fails although its layer is off: it proves nothing");
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
        const char *extra[] = {"--disable-layer", rows[i].layer, NULL};
        int status = box_fixture_check(&fixture, extra, text, sizeof text);
        assert_int_equal(status, 1);
        if (!strstr(text, rows[i].text) || !strstr(text, "--permissive runs without it"))
            fail_msg("%s off: %s", rows[i].layer, text);
        struct box_fixture weak;
        box_fixture_start(
            &weak, (const char *const[]){"--permissive", "--disable-layer", rows[i].layer, NULL});
        struct box_report report;
        struct box_job job = box_fixture_job(LANGUAGE_c, "int main(void) { return 0; }\n");
        box_fixture_run(&weak, &job, &report);
        bool marked = report.evidence.permissive && weak.info.permissive &&
                      (report.evidence.controls_missing & (1u << rows[i].control)) != 0 &&
                      (report.evidence.controls_applied & (1u << rows[i].control)) == 0;
        box_report_done(&report);
        box_fixture_stop(&weak);
        if (!marked)
            fail_msg("%s off: the evidence does not say so", rows[i].layer);
    }
}

static int canary_socket = -1, canary_segment = -1;

static int start(void **state)
{
    (void)state;
    AUTO_FD int file = open(CANARY, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (write(file, "canary", 6) != 6)
        return -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, ABSTRACT, sizeof ABSTRACT - 1);
    canary_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof ABSTRACT);
    if (bind(canary_socket, (struct sockaddr *)&address, len) != 0 || listen(canary_socket, 64))
        return -1;
    canary_segment = shmget(CANARY_SHM, 4096, IPC_CREAT | 0666);
    char *segment = shmat(canary_segment, NULL, 0);
    memcpy(segment, "canary", 7);
    shmdt(segment);
    box_fixture_start(&fixture, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    box_fixture_stop(&fixture);
    char text[8] = "";
    AUTO_FD int file = open(CANARY, O_RDONLY | O_CLOEXEC);
    bool intact = read(file, text, sizeof text) == 6 && memcmp(text, "canary", 6) == 0;
    unlink(CANARY);
    close(canary_socket);
    shmctl(canary_segment, IPC_RMID, NULL);
    return intact ? 0 : -1;
}

int main(void)
{
    struct CMUnitTest tests[2 * COUNT_OF(attempts) + 1];
    static char names[COUNT_OF(attempts)][64];
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(attempts); i++) {
        void *attempt = (void *)(uintptr_t)&attempts[i];
        tests[count++] = (struct CMUnitTest){
            .name = attempts[i].name, .test_func = test_holds, .initial_state = attempt};
        snprintf(names[i], sizeof names[i], "%s, layer off", attempts[i].name);
        if (attempts[i].layers[0])
            tests[count++] = (struct CMUnitTest){
                .name = names[i], .test_func = test_layer_off, .initial_state = attempt};
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_start_refused);
    return _cmocka_run_group_tests("escape", tests, count, start, stop);
}
