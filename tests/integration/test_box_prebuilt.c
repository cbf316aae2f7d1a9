/* What is made ahead for compilers: it is used, it changes no program and no verdict, and the
 * launcher does without it when it may not fit. Each C++ program prints a sum of its own binary, so
 * that equal outputs mean equal binaries. */
#include "lib/base/cleanup.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY                                                                                       \
    "\nint main(int, char **argv) { std::vector<float> v(1000); for (size_t i = 0; i < v.size(); " \
    "i++) v[i] = v[i] * 2 + i; std::sort(v.begin(), v.end()); std::map<std::string, int> m; "      \
    "m[\"a\"] = 1; std::ifstream f(\"/box/main\", std::ios::binary); unsigned long s = 7; "        \
    "for (char c; f.get(c);) s = s * 31 + (unsigned char)c; std::cout << v[3] << m.size() << "     \
    "argv[0] << s; assert(v.size()); }\n"
#define ALL "#include <bits/stdc++.h>"

static struct box_fixture plain, quick;
static char top[64], dir[96];

static int spawn_wait(const char *const *argv)
{
    pid_t pid = -1;
    int status = -1;
    assert_int_equal(
        posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

struct outcome {
    enum cause cause;
    uint64_t compile_ns;
    char text[60000];
};

static void compile(struct box_fixture *box, enum language language, const char *code,
                    struct outcome *out)
{
    struct box_report report;
    struct box_job job = box_fixture_job(language, code);
    box_fixture_run(box, &job, &report);
    out->cause = verdict_decide(&report.evidence, TAXONOMY_STANDARD).cause;
    out->compile_ns = report.evidence.compile.cpu_ns;
    snprintf(out->text, sizeof out->text, "%.*s|%.*s", (int)report.out.len,
             (const char *)report.out.data, (int)report.errout.len,
             (const char *)report.errout.data);
    box_report_done(&report);
}

static struct outcome without, with;

static void both(enum language language, const char *code)
{
    compile(&plain, language, code, &without);
    compile(&quick, language, code, &with);
    print_message("compile: %.0f ms of CPU without, %.0f ms with\n",
                  (double)without.compile_ns / 1e6, (double)with.compile_ns / 1e6);
    if (with.cause != without.cause)
        fail_msg("%s without, %s with; %s", cause_name(without.cause), cause_name(with.cause),
                 with.text);
}

static void test_it_is_used(void **state)
{
    (void)state;
    both(LANGUAGE_cpp, ALL BODY);
    assert_int_equal(with.cause, CAUSE_normal_exit);
    assert_string_equal(with.text, without.text);
    assert_true(with.compile_ns < without.compile_ns / 2);
    both(LANGUAGE_java, "class Main { public static void main(String[] a) { "
                        "System.out.println(\"hello\"); } }\n");
    assert_string_equal(with.text, "hello\n|");
    assert_true(with.compile_ns < without.compile_ns / 10 * 9);
}

/* Where the header does not fit, g++ reads the real one. */
static void test_same_programs(void **state)
{
    (void)state;
    static const char *const codes[] = {
        "#define NDEBUG\n" ALL BODY,
        "#define MY_OWN 1\n" ALL BODY,
        "#include <iostream>\n" ALL BODY,
        "#pragma GCC optimize(\"O3,unroll-loops\")\n" ALL BODY,
        "#pragma GCC target(\"avx2\")\n" ALL BODY,
    };
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        both(LANGUAGE_cpp, codes[i]);
        assert_int_equal(with.cause, CAUSE_normal_exit);
        assert_string_equal(with.text, without.text);
    }
}

static void test_same_errors(void **state)
{
    (void)state;
    static const char *const codes[] = {
        ALL "\nint main() { std::string s = 3; return s }\n",
        "#define int long long\n" ALL "\nint main() { }\n",
    };
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        both(LANGUAGE_cpp, codes[i]);
        assert_int_equal(with.cause, CAUSE_compile_error);
        assert_string_equal(with.text, without.text);
    }
    both(LANGUAGE_java, "class Main { int x = \"text\"; }\n");
    assert_int_equal(with.cause, CAUSE_compile_error);
    assert_string_equal(with.text, without.text);
}

/* A program may look at it, as at every header, and change nothing. */
static void test_read_only(void **state)
{
    (void)state;
    both(LANGUAGE_cpp, "#include <cstdio>\nint main() { FILE *f = "
                       "fopen(\"/prebuilt/cpp/bits/stdc++.h.gch\", \"r\"); puts(f ? \"there\" : "
                       "\"not there\"); }\n");
    assert_string_equal(with.text, "not there\n|"); /* only compilers have it */
    both(LANGUAGE_c, "#include \"/prebuilt/cpp/bits/stdc++.h.gch\"\nint main(void) {}\n");
    assert_int_equal(with.cause, CAUSE_compile_error);
}

static bool used(const char *why_not)
{
    char line[2000];
    bool loaded = false, told = false;
    box_fixture_stop(&quick);
    box_fixture_start(&quick, (const char *const[]){"--prebuilt", dir, NULL});
    FILE *file = fopen(quick.log, "re");
    while (fgets(line, sizeof line, file)) {
        loaded |= strstr(line, "prebuilt_loaded") != NULL;
        told |= strstr(line, "prebuilt_not_used") && why_not && strstr(line, why_not);
    }
    fclose(file);
    if (!loaded && !told)
        fail_msg("it is not used, and the log does not say \"%s\"", why_not);
    compile(&quick, LANGUAGE_cpp, "#include <cstdio>\nint main() { puts(\"hello\"); }\n", &with);
    assert_string_equal(with.text, "hello\n|");
    return loaded;
}

static void test_does_not_fit(void **state)
{
    (void)state;
    char list[128], other[128];
    snprintf(list, sizeof list, "%s/inputs", dir);
    snprintf(other, sizeof other, "%s/header.h", top);
    assert_true(used(NULL));
    /* Others could have changed it. */
    assert_int_equal(chmod(dir, 0777), 0);
    assert_false(used("others than root"));
    assert_int_equal(chmod(dir, 0755), 0);
    /* A header that is newer than what was made of it, and one that is gone. */
    struct stat st;
    assert_int_equal(stat(list, &st), 0);
    AUTO_FD int file = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    AUTO_FD int append = open(list, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(write(append, other, strlen(other)) > 0 && write(append, "\n", 1) == 1);
    assert_int_equal(futimens(append, (struct timespec[]){st.st_atim, st.st_mtim}), 0);
    assert_false(used("newer or gone"));
    assert_int_equal(unlink(other), 0);
    assert_false(used("newer or gone"));
    /* What makes it sees the same, and makes it anew. */
    const char *const again[] = {RUSTBOX_SOURCE_DIR "/ops/lib/prebuild", dir, NULL};
    assert_int_equal(spawn_wait(again), 0);
    assert_true(used(NULL));
    assert_int_equal(truncate(list, 0), 0);
    assert_false(used("empty"));
}

int main(void)
{
    if (geteuid() != 0) {
        fprintf(stderr, "skipped: the launcher makes namespaces and mounts, run as root\n");
        return 77;
    }
    snprintf(top, sizeof top, "/tmp/prebuilt-test-XXXXXX");
    if (!mkdtemp(top))
        return 1;
    snprintf(dir, sizeof dir, "%s/made", top);
    const char *const make[] = {RUSTBOX_SOURCE_DIR "/ops/lib/prebuild", dir, NULL};
    const char *const clean[] = {"/bin/rm", "-rf", top, NULL};
    if (spawn_wait(make) != 0)
        return 1;
    box_fixture_start(&plain, NULL);
    box_fixture_start(&quick, (const char *const[]){"--prebuilt", dir, NULL});
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_used),   cmocka_unit_test(test_same_programs),
        cmocka_unit_test(test_same_errors),  cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_does_not_fit),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    box_fixture_stop(&plain);
    box_fixture_stop(&quick);
    spawn_wait(clean);
    return failed;
}
