/* Bombs in eight languages and how soon they are gone: a memory bomb well under a second after the
 * limit, a fork bomb within its limit and a second, with nobody left. Told from evidence: a memory
 * bomb prints when it last got memory, the launcher says when the job was over, and which counter
 * or timer ended it. The machine may be busy, so one of three tries has to be in time; a bomb that
 * lives on to its wall limit never is. */
#include "schemas/verdict_rules.h"
#include "tests/support/box_fixture.h"
#include "tests/unit/unit.h"

#define TRIES 3
#define LATE_MS 1000
#define MEMORY_WALL_MS 8000
#define FORK_CPU_MS 1000
#define FORK_WALL_MS 2500

struct row {
    const char *name;
    enum language language;
    bool forks;
    const char *code;
};

#define C_HEAD                                                                                     \
    "#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"          \
    "#include <time.h>\n#include <unistd.h>\n"                                                     \
    "static void stamp(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t);\n"            \
    "printf(\"%lld\\n\", (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000); fflush(stdout); }\n"   \
    "static void eat(void) { for (;;) { char *p = (char *)malloc(1 << 20);\n"                      \
    "if (p) memset(p, 1, 1 << 20); stamp(); } }\n"
#define NODE_BOMB                                                                                  \
    "const fs = require('fs'); const x = [];\n"                                                    \
    "for (;;) { x.push(new Array(1 << 17).fill(1.5 + x.length));\n"                                \
    "fs.writeSync(1, Date.now() + '\\n'); }\n"
#define NODE_FORKS                                                                                 \
    "const { spawn } = require('child_process');\n"                                                \
    "const more = () => { for (let i = 0; i < 4; i++)\n"                                           \
    "spawn(process.execPath, [__filename]).on('error', () => {}); setTimeout(more, 1); };\n"       \
    "more();\n"

static const struct row rows[] = {
    {"memory_c", LANGUAGE_c, false, C_HEAD "int main(void) { eat(); }\n"},
    {"memory_of_a_child", LANGUAGE_c, false,
     C_HEAD "int main(void) { if (!fork()) eat(); for (;;) pause(); }\n"},
    {"memory_cpp", LANGUAGE_cpp, false, C_HEAD "int main() { eat(); }\n"},
    {"memory_python", LANGUAGE_python, false,
     "import time\nb = []\nwhile True:\n    b.append(bytearray(1 << 20))\n"
     "    print(int(time.time() * 1000), flush=True)\n"},
    {"memory_rust", LANGUAGE_rust, false,
     "use std::time::*;\nfn main() { let mut keep = Vec::new(); loop { keep.push(vec![1u8; 1 << "
     "20]);\nprintln!(\"{}\", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()); "
     "} }\n"},
    {"memory_go", LANGUAGE_go, false,
     "package main\nimport (\"fmt\"; \"time\")\nfunc main() { var keep [][]byte\nfor { b := "
     "make([]byte, 1<<20)\nfor i := range b { b[i] = 1 }\nkeep = append(keep, b)\n"
     "fmt.Println(time.Now().UnixNano() / 1000000) } }\n"},
    {"memory_java", LANGUAGE_java, false,
     "import java.util.*;\nclass Main { public static void main(String[] a) { List<byte[]> x = new "
     "ArrayList<>();\nwhile (true) { x.add(new byte[1 << 20]);\n"
     "System.out.println(System.currentTimeMillis()); System.out.flush(); } } }\n"},
    {"memory_javascript", LANGUAGE_javascript, false, NODE_BOMB},
    {"memory_typescript", LANGUAGE_typescript, false, NODE_BOMB},
    {"forks_c", LANGUAGE_c, true, C_HEAD "int main(void) { for (;;) fork(); }\n"},
    {"forks_ignoring_signals", LANGUAGE_c, true,
     C_HEAD "int main(void) { for (int i = 1; i < 65; i++) signal(i, SIG_IGN);\n"
            "for (;;) if (!fork()) setsid(); }\n"},
    {"forks_cpp", LANGUAGE_cpp, true, C_HEAD "int main() { for (;;) fork(); }\n"},
    {"forks_python", LANGUAGE_python, true,
     "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"},
    {"forks_rust", LANGUAGE_rust, true,
     "extern \"C\" { fn fork() -> i32; }\nfn main() { loop { unsafe { fork(); } } }\n"},
    {"forks_go", LANGUAGE_go, true,
     "package main\nimport \"os/exec\"\nfunc main() { for { "
     "exec.Command(\"/proc/self/exe\").Start() } }\n"},
    {"forks_java", LANGUAGE_java, true,
     "class Main { public static void main(String[] a) { while (true) try { new "
     "ProcessBuilder(ProcessHandle.current().info().command().orElse(\"/proc/self/exe\"), "
     "\"-cp\", \"/box/classes\", \"Main\").start(); } catch (Exception e) { } } }\n"},
    {"forks_javascript", LANGUAGE_javascript, true, NODE_FORKS},
    {"forks_typescript", LANGUAGE_typescript, true, NODE_FORKS},
};

static struct box_fixture fixture;

/* What the bomb printed last, in milliseconds since 1970. */
static uint64_t last_stamp(struct span out)
{
    const char *text = out.data;
    uint64_t stamp = 0;
    size_t end = out.len;
    while (end > 0 && text[end - 1] != '\n')
        end--; /* a line that was cut */
    size_t begin = end > 0 ? end - 1 : 0;
    while (begin > 0 && text[begin - 1] != '\n')
        begin--;
    if (end == 0 || span_u64(span_of(text + begin, end - 1 - begin), &stamp) != 0)
        fail_msg("the bomb printed no time: \"%.*s\"", (int)(out.len < 99 ? out.len : 99), text);
    return stamp;
}

/* How long the job lived on after its limit, in milliseconds. */
static int64_t late_ms(const struct row *row, const struct box_report *report)
{
    const struct evidence *ev = &report->evidence;
    const struct phase_evidence *run = &ev->run;
    struct decision decision = verdict_decide(ev, TAXONOMY_STANDARD);
    if (decision.verdict == VERDICT_IE || decision.verdict == VERDICT_AC ||
        (!row->forks && decision.cause != CAUSE_mle_kernel_oom))
        fail_msg("%s %s; %s; stderr: %.*s", verdict_name(decision.verdict),
                 cause_name(decision.cause), ev->setup_error,
                 (int)(report->errout.len < 300 ? report->errout.len : 300),
                 (const char *)report->errout.data);
    assert_true(run->ran && run->group_empty && run->survivors == 0);
    assert_true(row->forks || run->oom_events > 0 || run->oom_kills > 0);
    assert_true(!row->forks || run->pids_peak > 2); /* it did fork */
    if (row->forks)
        return (int64_t)((run->wall_ns + ev->teardown_ns) / 1000000) - FORK_WALL_MS;
    return ev->ended_wall_ns / 1000000 - (int64_t)last_stamp(report->out);
}

static void test_bomb(void **state)
{
    const struct row *row = *state;
    int64_t best = INT64_MAX;
    if (!(fixture.info.languages & (1u << row->language)))
        return print_message("no toolchain: %s\n", language_name(row->language));
    for (int i = 0; i < TRIES && best > LATE_MS; i++) {
        struct box_report report;
        struct box_job job = box_fixture_job(row->language, row->code);
        job.run.cpu_ms = row->forks ? FORK_CPU_MS : MEMORY_WALL_MS;
        job.run.wall_ms = row->forks ? FORK_WALL_MS : MEMORY_WALL_MS;
        box_fixture_run(&fixture, &job, &report);
        int64_t late = late_ms(row, &report);
        struct decision decision = verdict_decide(&report.evidence, TAXONOMY_STANDARD);
        print_message(
            "%s: %s %s, %lld ms after the limit, %llu ms of CPU, %llu processes at most\n",
            row->name, verdict_name(decision.verdict), cause_name(decision.cause), (long long)late,
            (unsigned long long)report.evidence.run.cpu_ns / 1000000,
            (unsigned long long)report.evidence.run.pids_peak);
        box_report_done(&report);
        best = late < best ? late : best;
    }
    assert_true(best <= LATE_MS);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows)];
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = test_bomb,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    return box_fixture_group(&fixture, NULL, "box_teardown", tests, COUNT_OF(tests));
}
