/* The compile cache through the launcher: what is found again and what is not, that a hit and a
 * miss are the same to the program, and that nothing that goes wrong with it harms a job. */
#include "lib/base/cleanup.h"
#include "sandbox/cache.h"
#include "sandbox/mounts.h"
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static struct box_fixture fixture;
static const struct uuid ours = {{1}}, theirs = {{2}};
static const char hello_c[] = "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n";

/* Runs it and says what the cache did; the report is checked, kept as text and released. */
static const char *run_job(const struct box_job *job, enum cause cause, struct evidence *ev,
                           char *out)
{
    static char cache[8];
    struct box_report report;
    box_fixture_run(&fixture, job, &report);
    struct decision decision = verdict_decide(&report.evidence, TAXONOMY_STANDARD);
    if (decision.cause != cause)
        fail_msg("%s, expected %s; %s; stderr: %.*s", cause_name(decision.cause), cause_name(cause),
                 report.evidence.setup_error, (int)report.errout.len,
                 (const char *)report.errout.data);
    memcpy(cache, report.evidence.compile_cache, sizeof cache);
    if (ev)
        *ev = report.evidence;
    if (out)
        snprintf(out, 1000, "%.*s|%.*s", (int)report.out.len, (const char *)report.out.data,
                 (int)report.errout.len, (const char *)report.errout.data);
    box_report_done(&report);
    return cache;
}

static struct box_job job_of(enum language language, const char *code, const struct uuid *project)
{
    struct box_job job = box_fixture_job(language, code);
    job.project = *project;
    return job;
}

static const char *run_c(const char *code, const struct uuid *project)
{
    struct box_job job = job_of(LANGUAGE_c, code, project);
    return run_job(&job, CAUSE_normal_exit, NULL, NULL);
}

static uint64_t forget(const struct uuid *project)
{
    struct err err;
    uint64_t entries = UINT64_MAX;
    assert_ok(box_forget(fixture.box, project, 5000, &entries, &err), err);
    return entries;
}

/* C that no other test compiles. */
static const char *unique_c(int number)
{
    static char code[100];
    snprintf(code, sizeof code, "int number = %d; int main(void) { return 0; }\n", number);
    return code;
}

static void test_hit_is_like_miss(void **state)
{
    (void)state;
    /* Looks around, so that a difference would show: its own file, /box, and what may be written.
     */
    static const char code[] =
        "#include <stdio.h>\n#include <dirent.h>\n#include <sys/stat.h>\n#include <unistd.h>\n"
        "#include <errno.h>\n#include <fcntl.h>\n"
        "int warned(void) { return \"text\"; }\n"
        "int main(void) { struct stat st; char line[99]; DIR *d = opendir(\"/box\");\n"
        "for (struct dirent *e; (e = readdir(d));) if (e->d_name[0] != '.') {\n"
        "fstatat(dirfd(d), e->d_name, &st, 0); printf(\"%s %o %d %ld %d\\n\", e->d_name,\n"
        "st.st_mode, (int)st.st_uid, (long)st.st_size, (int)st.st_nlink); }\n"
        "printf(\"%d\", open(\"/box/main\", O_WRONLY)); printf(\" %d\\n\", errno);\n"
        "while (fgets(line, sizeof line, stdin)) fputs(line, stdout);\n"
        "fputs(\"end\", stderr); return 0; }\n";
    char outs[2][1000];
    struct evidence evs[2];
    struct box_job job = job_of(LANGUAGE_c, code, &ours);
    job.stdin_data = span_text("input\n");
    assert_string_equal(run_job(&job, CAUSE_normal_exit, &evs[0], outs[0]), "miss");
    assert_string_equal(run_job(&job, CAUSE_normal_exit, &evs[1], outs[1]), "hit");
    assert_string_equal(outs[0], outs[1]);
    assert_non_null(strstr(outs[0], "main 100555 0 "));
    assert_non_null(strstr(outs[0], " 1\n-1 13\ninput\n|end")); /* no warning of gcc */
    assert_true(evs[0].compile.ran && evs[0].compile.cpu_ns > 0);
    assert_false(evs[1].compile.ran); /* the CPU time of a compile is charged once */
    assert_int_equal(evs[0].controls_applied, evs[1].controls_applied);
    assert_string_equal(evs[0].toolchain, evs[1].toolchain);
    /* What only the run has may differ: it is the same program. */
    job.stdin_data = span_text("other\n");
    job.run.wall_ms--;
    job.profile = PROFILE_AGENT;
    assert_string_equal(run_job(&job, CAUSE_normal_exit, NULL, outs[1]), "hit");
    assert_non_null(strstr(outs[1], "other\n"));
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum cause cause;
        bool kept;
    } cases[] = {
        {"int main(void) { return 3; }\n", CAUSE_re_nonzero_exit, true},
        {"int main(void) { *(volatile int *)0 = 1; }\n", CAUSE_re_fatal_signal, true},
        {"int main(void) { for (;;) ; }\n", CAUSE_tle_cpu_judge, true},
        {"#include <stdlib.h>\n#include <string.h>\nint main(void) { for (;;) memset(malloc(1 << "
         "20), 1, 1 << 20); }\n",
         CAUSE_mle_kernel_oom, true},
        {"int main(void) { nothing }\n", CAUSE_compile_error, false},
        {"#include <stdio.h>\nint main(void) { puts(__TIME__); }\n", CAUSE_normal_exit, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char outs[2][1000];
        struct box_job job = job_of(LANGUAGE_c, cases[i].code, &ours);
        if (cases[i].cause == CAUSE_tle_cpu_judge)
            job.run.cpu_ms = 500;
        const char *first = run_job(&job, cases[i].cause, NULL, outs[0]);
        assert_string_equal(first, i == 5 ? "off" : "miss");
        const char *second = run_job(&job, cases[i].cause, NULL, outs[1]);
        assert_string_equal(second, cases[i].kept ? "hit" : first);
        if (i != 5)
            assert_string_equal(outs[0], outs[1]);
    }
}

static void test_languages(void **state)
{
    (void)state;
    static const char *const codes[LANGUAGE_COUNT] = {
        [LANGUAGE_python] = "print('hello')\n",
        [LANGUAGE_c] = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n",
        [LANGUAGE_cpp] = "#include <cstdio>\nint main() { puts(\"hello\"); }\n",
        [LANGUAGE_java] = "class Main { static class In { class Deep {} } public static void "
                          "main(String[] a) { new Thread(() -> System.out.println(\"hello\"))"
                          ".start(); } }\n",
        [LANGUAGE_javascript] = "console.log('hello');\n",
        [LANGUAGE_typescript] = "const s: string = 'hello';\nconsole.log(s);\n",
        [LANGUAGE_go] = "package main\nimport \"fmt\"\nfunc main() { fmt.Println(\"hello\") }\n",
        [LANGUAGE_rust] = "fn main() { println!(\"hello\"); }\n",
    };
    for (int i = 0; i < LANGUAGE_COUNT; i++) {
        struct box_job job = job_of((enum language)i, codes[i], &ours);
        bool compiles = job.compile.memory_bytes != 0;
        for (int k = 0; k < 2 && fixture.info.languages & (1u << i); k++) {
            char out[1000];
            const char *cache = run_job(&job, CAUSE_normal_exit, NULL, out);
            assert_string_equal(cache, !compiles ? "off" : k ? "hit" : "miss");
            assert_string_equal(out, "hello\n|");
        }
    }
}

static void test_key(void **state)
{
    (void)state;
    assert_string_equal(run_c(hello_c, &ours), "miss");
    assert_string_equal(run_c(hello_c, &ours), "hit");
    struct box_job job = job_of(LANGUAGE_c, hello_c, &ours);
    job.compile.cpu_ms--;
    assert_string_equal(run_job(&job, CAUSE_normal_exit, NULL, NULL), "miss");
    job = job_of(LANGUAGE_cpp, hello_c, &ours);
    assert_string_equal(run_job(&job, CAUSE_normal_exit, NULL, NULL), "miss");
    char changed[sizeof hello_c];
    memcpy(changed, hello_c, sizeof changed);
    changed[sizeof hello_c - 2] = ' '; /* the last newline */
    assert_string_equal(run_c(changed, &ours), "miss");
    /* The other project compiles for itself, and then has its own. */
    assert_string_equal(run_c(hello_c, &theirs), "miss");
    assert_string_equal(run_c(hello_c, &theirs), "hit");
}

static void test_forget(void **state)
{
    (void)state;
    struct err err;
    forget(&ours);
    forget(&theirs);
    assert_string_equal(run_c(unique_c(1), &ours), "miss");
    assert_string_equal(run_c(unique_c(2), &ours), "miss");
    assert_string_equal(run_c(unique_c(1), &theirs), "miss");
    assert_int_equal(forget(&ours), 2);
    assert_string_equal(run_c(unique_c(1), &theirs), "hit");
    assert_string_equal(run_c(unique_c(1), &ours), "miss");
    assert_string_equal(run_c(unique_c(1), &ours), "hit");
    assert_int_equal(forget(&(struct uuid){{77}}), 0);
    /* What is being compiled at that moment is not kept either, and ends as usual. */
    struct box *other = NULL;
    struct box_info info;
    uint64_t entries;
    struct box_report report;
    assert_ok(box_open(fixture.socket, 5000, &other, &info, &err), err);
    struct box_job job = job_of(LANGUAGE_cpp, "#include <iostream>\nint main() {}\n", &ours);
    assert_ok(box_submit(fixture.box, &job, &err), err);
    assert_err(box_forget(fixture.box, &ours, 5000, &entries, &err), err, ERR_INVALID);
    assert_ok(box_forget(other, &ours, 5000, &entries, &err), err);
    assert_int_equal(entries, 1);
    box_fixture_next(&fixture, &report);
    assert_int_equal(verdict_decide(&report.evidence, TAXONOMY_STANDARD).cause, CAUSE_normal_exit);
    assert_true(report.evidence.compile.ran);
    box_report_done(&report);
    assert_int_equal(forget(&ours), 0);
    assert_string_equal(run_job(&job, CAUSE_normal_exit, NULL, NULL), "miss");
    box_close(other);
}

static void test_two_at_once(void **state)
{
    (void)state;
    struct err err;
    forget(&ours);
    struct box_job jobs[2];
    for (int i = 0; i < 2; i++) {
        jobs[i] = job_of(LANGUAGE_c, unique_c(3), &ours);
        assert_ok(box_submit(fixture.box, &jobs[i], &err), err);
    }
    for (int i = 0; i < 2; i++) {
        struct box_report report;
        box_fixture_next(&fixture, &report);
        assert_int_equal(verdict_decide(&report.evidence, TAXONOMY_STANDARD).cause,
                         CAUSE_normal_exit);
        box_report_done(&report);
    }
    assert_string_equal(run_c(unique_c(3), &ours), "hit");
    assert_int_equal(forget(&ours), 1);
}

/* The launcher's only directory that is its own alone and writable: through root's view of its
 * descriptors. Nobody else has one. */
static int open_kept(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)fixture.pid);
    DIR *list = opendir(path);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list));) {
        struct stat st;
        int fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0700) {
            closedir(list);
            return fd;
        }
        cleanup_fd(&fd);
    }
    fail_msg("the launcher has no directory with compiled programs");
    return -1;
}

/* The only program in there. */
static void path_of_kept(int dir, char path[64])
{
    AUTO_FD int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fdopendir(take_fd(&again));
    path[0] = '\0';
    for (struct dirent *entry; (entry = readdir(list));)
        if (entry->d_name[0] != '.') {
            assert_int_equal(path[0], '\0');
            snprintf(path, 64, "%.32s/main", entry->d_name);
        }
    closedir(list);
    assert_int_not_equal(path[0], '\0');
}

enum damage { TRUNCATE, EMPTY, ALTER, REMOVE, REPLACE, EXTEND, DAMAGES };

static void damage(int dir, const char *path, enum damage how)
{
    struct stat st;
    if (how == REMOVE || how == REPLACE)
        assert_int_equal(unlinkat(dir, path, 0), 0);
    if (how == REPLACE)
        assert_int_equal(symlinkat("/usr/bin/true", dir, path), 0);
    if (how == REMOVE || how == REPLACE)
        return;
    AUTO_FD int file = openat(dir, path, O_RDWR | O_CLOEXEC);
    assert_int_equal(fstat(file, &st), 0);
    if (how == TRUNCATE || how == EMPTY)
        assert_int_equal(ftruncate(file, how == EMPTY ? 0 : st.st_size - 1), 0);
    else if (how == ALTER)
        assert_int_equal(pwrite(file, "!", 1, st.st_size / 2), 1);
    else
        assert_int_equal(pwrite(file, "!", 1, st.st_size), 1);
}

static void test_damage(void **state)
{
    (void)state;
    char path[64];
    forget(&ours);
    forget(&theirs);
    AUTO_FD int kept = open_kept();
    for (enum damage how = 0; how < DAMAGES; how++) {
        assert_string_equal(run_c(unique_c(4), &ours), how == 0 ? "miss" : "hit");
        path_of_kept(kept, path);
        damage(kept, path, how);
        assert_string_equal(run_c(unique_c(4), &ours), "miss"); /* and AC, compiled anew */
    }
    assert_string_equal(run_c(unique_c(4), &ours), "hit");
    assert_int_equal(forget(&ours), 1);
}

static void test_full_memory(void **state)
{
    (void)state;
    static char zeros[1 << 20];
    forget(&ours);
    AUTO_FD int kept = open_kept();
    AUTO_FD int junk = openat(kept, "junk", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(junk, zeros, sizeof zeros) > 0)
        continue;
    assert_int_equal(errno, ENOSPC);
    assert_string_equal(run_c(unique_c(5), &ours), "miss");
    assert_string_equal(run_c(unique_c(5), &ours), "miss");
    assert_int_equal(unlinkat(kept, "junk", 0), 0);
    close(take_fd(&junk));
    assert_string_equal(run_c(unique_c(5), &ours), "miss");
    assert_string_equal(run_c(unique_c(5), &ours), "hit");
}

static void restart(const char *const *extra)
{
    box_fixture_stop(&fixture);
    box_fixture_start(&fixture, extra);
}

static void test_bounds(void **state)
{
    (void)state;
    struct statvfs fs;
    /* A C program is counted with about 20 kB: two of a project, eight of all. */
    restart((const char *const[]){"--cache-bytes", "200000", NULL});
    assert_string_equal(run_c(unique_c(1), &theirs), "miss");
    for (int i = 0; i < 3; i++)
        assert_string_equal(run_c(unique_c(i), &ours), "miss");
    assert_string_equal(run_c(unique_c(2), &ours), "hit");
    assert_string_equal(run_c(unique_c(1), &ours), "hit");
    assert_string_equal(run_c(unique_c(0), &ours),
                        "miss"); /* the third of a project was too many */
    assert_string_equal(run_c(unique_c(1), &theirs), "hit");
    for (uint8_t i = 10; i < 30; i++)
        assert_string_equal(run_c(unique_c(1), &(struct uuid){{i}}), "miss");
    assert_string_equal(run_c(unique_c(1), &(struct uuid){{29}}), "hit");
    assert_string_equal(run_c(unique_c(1), &theirs), "miss"); /* used least recently */
    AUTO_FD int kept = open_kept();
    assert_int_equal(fstatvfs(kept, &fs), 0);
    assert_true((fs.f_blocks - fs.f_bfree) * fs.f_bsize <= 200000);
    /* Larger than a project's share: runs, and is compiled each time. */
    static const char large[] = "char data[1 << 16] = {1}; int main(void) { return 0; }\n";
    assert_string_equal(run_c(large, &ours), "miss");
    assert_string_equal(run_c(large, &ours), "miss");
    restart((const char *const[]){"--cache-entries", "1", NULL});
    assert_string_equal(run_c(unique_c(0), &ours), "miss");
    assert_string_equal(run_c(unique_c(1), &ours), "miss");
    assert_string_equal(run_c(unique_c(1), &ours), "hit");
    assert_string_equal(run_c(unique_c(0), &ours), "miss");
}

static void test_off(void **state)
{
    (void)state;
    restart((const char *const[]){"--cache-bytes", "0", NULL});
    assert_string_equal(run_c(hello_c, &ours), "off");
    assert_string_equal(run_c(hello_c, &ours), "off");
    assert_int_equal(forget(&ours), 0);
    static const char *const bad[][3] = {{"--cache-bytes", "-1", NULL},
                                         {"--cache-bytes", "1k", NULL},
                                         {"--cache-bytes", "65535", NULL},
                                         {"--cache-entries", "0", NULL},
                                         {"--cache-entries", "4097", NULL}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char text[2000];
        assert_int_equal(box_fixture_check(&fixture, bad[i], text, sizeof text), 1);
        assert_non_null(strstr(text, "must be"));
        assert_non_null(strstr(text, bad[i][0]));
    }
}

static void test_nothing_is_left(void **state)
{
    (void)state;
    restart(NULL);
    run_c(hello_c, &ours);
    struct box_leftovers before = box_fixture_settled(&fixture);
    for (int i = 0; i < 40; i++)
        assert_string_equal(run_c(hello_c, &ours), "hit");
    struct box_leftovers after = box_fixture_settled(&fixture);
    assert_memory_equal(&before, &after, sizeof before);
    /* Memory only: a restart knows nothing. */
    restart(NULL);
    assert_string_equal(run_c(hello_c, &ours), "miss");
}

static bool wait_100_ms(void *context)
{
    static int64_t until;
    struct loop *loop = context;
    if (until == 0)
        until = loop_now_ns() + 100000000;
    loop->stop = loop_now_ns() >= until;
    return true;
}

/* The age, on the module itself: a launcher's is a day. */
static void test_age(void **state)
{
    (void)state;
    struct err err, refused;
    struct loop loop = {.epoll_fd = -1};
    struct cache *cache = NULL;
    struct cache_limits limits = {1 << 20, 10, INT64_C(30000000)};
    struct harvest what = {.name = "main", .max_bytes = 1 << 20};
    struct harvested took;
    struct cache_ticket ticket = {.project = ours};
    assert_ok(loop_open(&loop, &err), err);
    assert_ok(cache_open(&loop, &limits, &cache, &err), err);
    AUTO_FD int dir = mounts_tmpfs(1 << 20, 10, 0755, &err);
    AUTO_FD int file = openat(dir, "main", O_CREAT | O_WRONLY | O_CLOEXEC, 0555);
    assert_int_equal(write(file, "program", 7), 7);
    AUTO_FD int box = harvest(dir, &what, &took, &refused, &err);
    buf_init(&ticket.key, 100);
    buf_puts(&ticket.key, "key");
    cache_put(cache, &ticket, box, &what, &took);
    AUTO_FD int found = cache_take(cache, &ticket, &what);
    assert_true(found >= 0);
    loop.idle = wait_100_ms;
    loop.idle_context = &loop;
    assert_ok(loop_run(&loop, &err), err); /* nobody asks; the timer does it */
    assert_int_equal(cache_forget(cache, &ours), 0);
    cache_ticket_done(&ticket);
    cache_close(cache);
    loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit_is_like_miss), cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_languages),        cmocka_unit_test(test_key),
        cmocka_unit_test(test_forget),           cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_damage),           cmocka_unit_test(test_full_memory),
        cmocka_unit_test(test_bounds),           cmocka_unit_test(test_off),
        cmocka_unit_test(test_nothing_is_left),  cmocka_unit_test(test_age),
    };
    return box_fixture_group(&fixture, NULL, "box_cache", tests, COUNT_OF(tests));
}
