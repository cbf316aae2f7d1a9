/* schemas/evidence: what is encoded comes back, and nothing else is taken. */
#include "lib/base/rnd.h"
#include "schemas/evidence.h"
#include "tests/unit/unit.h"
#include <cjson/cJSON.h>

#define JSON_MAX (64 * 1024)

static uint64_t any_u64(struct rnd *rnd)
{
    static const uint64_t edges[] = {
        0,         1,         (UINT64_C(1) << 53) - 1, UINT64_C(1) << 53, (UINT64_C(1) << 53) + 1,
        INT64_MAX, UINT64_MAX};
    uint64_t value;
    rnd_fill(rnd, &value, sizeof value);
    if (value % 4 == 0)
        return edges[value / 4 % COUNT_OF(edges)];
    return value >> (value / 4 % 64);
}

static bool any_bool(struct rnd *rnd)
{
    return any_u64(rnd) % 2 != 0;
}

static void any_text(struct rnd *rnd, char *out, size_t size)
{
    size_t len = any_u64(rnd) % size;
    memset(out, 0, size);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(' ' + any_u64(rnd) % 95);
}

static struct phase_evidence any_phase(struct rnd *rnd)
{
    struct phase_evidence phase = {.ran = any_u64(rnd) % 4 != 0};
    if (!phase.ran) /* the judge may have acted all the same */
        phase.actions = (uint32_t)(any_u64(rnd) % (ACTION_KILL_CANCEL << 1));
    if (!phase.ran)
        return phase;
    phase.reported = any_bool(rnd);
    phase.exited = any_bool(rnd);
    phase.signaled = any_bool(rnd);
    phase.exit_code = (int)(any_u64(rnd) % 256);
    phase.signal = (int)(any_u64(rnd) % 65);
    phase.actions = (uint32_t)any_u64(rnd) & 63;
    uint64_t *const integers[] = {
        &phase.limits.memory_bytes,
        &phase.limits.cpu_ms,
        &phase.limits.wall_ms,
        &phase.limits.processes,
        &phase.limits.open_files,
        &phase.limits.file_bytes,
        &phase.limits.tmp_bytes,
        &phase.limits.output_bytes,
        &phase.limits.stack_bytes,
        &phase.cpu_ns,
        &phase.wall_ns,
        &phase.memory_peak_bytes,
        &phase.rss_max_bytes,
        &phase.oom_events,
        &phase.oom_kills,
        &phase.pids_peak,
        &phase.pids_max,
        &phase.pids_denied,
        &phase.stdout_bytes,
        &phase.stderr_bytes,
        &phase.zombies,
        &phase.survivors,
    };
    for (size_t i = 0; i < COUNT_OF(integers); i++)
        *integers[i] = any_u64(rnd);
    phase.stdout_cut = any_bool(rnd);
    phase.stderr_cut = any_bool(rnd);
    phase.group_empty = any_bool(rnd);
    phase.seccomp_count = any_bool(rnd) ? any_u64(rnd) % 20 : any_u64(rnd);
    for (size_t i = 0; i < SECCOMP_EVENTS_MAX && i < phase.seccomp_count; i++) {
        struct seccomp_event *event = &phase.seccomp[i];
        event->arch = (uint32_t)any_u64(rnd);
        event->number = (int32_t)any_u64(rnd);
        any_text(rnd, event->name, sizeof event->name);
        for (size_t arg = 0; arg < 6; arg++)
            event->args[arg] = any_u64(rnd);
        event->instruction_pointer = any_u64(rnd);
        event->pid = (uint32_t)any_u64(rnd);
    }
    return phase;
}

static struct evidence any_evidence(struct rnd *rnd)
{
    struct evidence ev = {.setup_ok = any_bool(rnd), .permissive = any_bool(rnd)};
    any_text(rnd, ev.setup_error, sizeof ev.setup_error);
    ev.controls_applied = (uint32_t)any_u64(rnd) & ((1U << CONTROL_COUNT) - 1);
    ev.controls_missing = (uint32_t)any_u64(rnd) & ((1U << CONTROL_COUNT) - 1);
    ev.compile = any_phase(rnd);
    ev.run = any_phase(rnd);
    uint64_t *const integers[] = {&ev.ns_pid,  &ev.ns_mnt,   &ev.ns_net,
                                  &ev.ns_ipc,  &ev.ns_uts,   &ev.ns_cgroup,
                                  &ev.ns_user, &ev.setup_ns, &ev.teardown_ns};
    for (size_t i = 0; i < COUNT_OF(integers); i++)
        *integers[i] = any_u64(rnd);
    any_text(rnd, ev.filter_sha256, sizeof ev.filter_sha256);
    any_text(rnd, ev.toolchain, sizeof ev.toolchain);
    any_text(rnd, ev.tier, sizeof ev.tier);
    if (any_bool(rnd)) { /* a fork of a template */
        ev.template_generation = any_u64(rnd) | 1;
        ev.template_jobs = any_u64(rnd);
    }
    if (any_bool(rnd)) /* a sandbox that stayed */
        ev.sandbox_runs = any_u64(rnd) | 1;
    any_text(rnd, ev.compile_cache, sizeof ev.compile_cache);
    any_text(rnd, ev.cgroup_backend, sizeof ev.cgroup_backend);
    ev.started_wall_ns = (int64_t)(any_u64(rnd) >> 1);
    ev.ended_wall_ns = (int64_t)(any_u64(rnd) >> 1);
    size_t errors = any_u64(rnd) % 9;
    for (size_t i = 0; i < errors; i++)
        do
            any_text(rnd, ev.collection_errors[i], sizeof ev.collection_errors[i]);
        while (ev.collection_errors[i][0] == '\0');
    return ev;
}

/* Equal members mean equal text, and equal text equal members: compare by a second encoding. */
static void round_trip(const struct evidence *ev)
{
    BUF_AUTO struct buf first = {.max = JSON_MAX};
    BUF_AUTO struct buf second = {.max = JSON_MAX};
    struct err err = {0};
    struct evidence back;
    memset(&back, 0x5a, sizeof back);
    assert_ok(evidence_encode(ev, &first, &err), err);
    assert_ok(evidence_decode(buf_span(&first), &back, &err), err);
    assert_ok(evidence_encode(&back, &second, &err), err);
    assert_true(span_eq(buf_span(&first), buf_span(&second)));
    assert_int_equal(back.run.cpu_ns, ev->run.cpu_ns);
    assert_int_equal(back.run.actions, ev->run.actions);
    assert_memory_equal(back.run.seccomp, ev->run.seccomp, sizeof back.run.seccomp);
    assert_memory_equal(&back.compile.limits, &ev->compile.limits, sizeof back.compile.limits);
    assert_memory_equal(back.setup_error, ev->setup_error, sizeof back.setup_error);
    assert_memory_equal(back.collection_errors, ev->collection_errors,
                        sizeof back.collection_errors);
    assert_int_equal(back.controls_missing, ev->controls_missing);
    assert_int_equal(back.template_generation, ev->template_generation);
    assert_int_equal(back.template_jobs, ev->template_jobs);
    assert_int_equal(back.sandbox_runs, ev->sandbox_runs);
    assert_int_equal(back.ended_wall_ns, ev->ended_wall_ns);
}

static void random_evidence(void **state)
{
    (void)state;
    struct rnd rnd = rnd_seeded(42);
    for (int i = 0; i < 500; i++) {
        struct evidence ev = any_evidence(&rnd);
        round_trip(&ev);
    }
    struct evidence none = {0};
    round_trip(&none);
}

/* The largest possible evidence leaves room in a 64 KiB message. */
static void largest(void **state)
{
    (void)state;
    struct rnd rnd = rnd_seeded(7);
    struct evidence ev;
    do
        ev = any_evidence(&rnd);
    while (!ev.run.ran || !ev.compile.ran);
    struct phase_evidence *const phases[] = {&ev.compile, &ev.run};
    for (size_t p = 0; p < 2; p++) {
        phases[p]->seccomp_count = UINT64_MAX;
        for (size_t i = 0; i < SECCOMP_EVENTS_MAX; i++) {
            struct seccomp_event *event = &phases[p]->seccomp[i];
            event->arch = event->pid = UINT32_MAX;
            event->number = INT32_MIN;
            memset(event->name, '"', sizeof event->name - 1);
            memset(event->args, 0xff, sizeof event->args);
            event->instruction_pointer = UINT64_MAX;
        }
    }
    round_trip(&ev);
    BUF_AUTO struct buf out = {.max = JSON_MAX};
    struct err err = {0};
    assert_ok(evidence_encode(&ev, &out, &err), err);
    assert_true(out.len < 20 * 1024);
    BUF_AUTO struct buf small = {.max = 100};
    assert_err(evidence_encode(&ev, &small, &err), err, ERR_TOO_LARGE);
}

static void texts_are_cleaned(void **state)
{
    (void)state;
    struct evidence ev = {.setup_error = "a\x01\xff\"\\b"};
    memset(ev.tier, 'x', sizeof ev.tier); /* no NUL */
    BUF_AUTO struct buf out = {.max = JSON_MAX};
    struct err err = {0};
    struct evidence back;
    assert_ok(evidence_encode(&ev, &out, &err), err);
    assert_ok(evidence_decode(buf_span(&out), &back, &err), err);
    assert_string_equal(back.setup_error, "a??\"\\b");
    assert_string_equal(back.tier, "xxxxxxxxxxxxxxx");
}

static void truncated(void **state)
{
    (void)state;
    struct rnd rnd = rnd_seeded(3);
    struct evidence ev = any_evidence(&rnd), back;
    BUF_AUTO struct buf out = {.max = JSON_MAX};
    struct err err = {0};
    assert_ok(evidence_encode(&ev, &out, &err), err);
    for (size_t len = 0; len < out.len; len++) {
        char *copy = malloc(len + 1); /* exact size: the sanitizer sees reads beyond it */
        memcpy(copy, out.data, len);
        assert_err(evidence_decode(span_of(copy, len), &back, &err), err, ERR_CORRUPT);
        free(copy);
    }
    buf_puts(&out, "x");
    assert_err(evidence_decode(buf_span(&out), &back, &err), err, ERR_CORRUPT);
}

/* Flipped bytes never crash; what is still accepted encodes again. */
static void garbled(void **state)
{
    (void)state;
    struct rnd rnd = rnd_seeded(5);
    for (int round = 0; round < 2000; round++) {
        struct evidence ev = any_evidence(&rnd), back;
        BUF_AUTO struct buf out = {.max = JSON_MAX};
        struct err err = {0};
        assert_ok(evidence_encode(&ev, &out, &err), err);
        for (uint64_t flips = 1 + any_u64(&rnd) % 3; flips > 0; flips--)
            out.data[any_u64(&rnd) % out.len] = (char)any_u64(&rnd);
        if (evidence_decode(buf_span(&out), &back, &err) == 0)
            round_trip(&back);
    }
}

/* Applies one change to the JSON of a full evidence and expects it to be refused. */
static void refuse(const char *from, const char *to)
{
    struct evidence ev = {.setup_ok = true,
                          .controls_applied = 1,
                          .run = {.ran = true,
                                  .reported = true,
                                  .exited = true,
                                  .actions = ACTION_KILL_CPU,
                                  .seccomp_count = 1,
                                  .seccomp = {{.name = "ptrace", .number = 101}}}};
    BUF_AUTO struct buf out = {.max = JSON_MAX};
    BUF_AUTO struct buf changed = {.max = JSON_MAX};
    struct err err = {0};
    struct evidence back = {.ns_pid = 77};
    assert_ok(evidence_encode(&ev, &out, &err), err);
    assert_ok(evidence_decode(buf_span(&out), &ev, &err), err);
    const char *text = buf_text(&out), *at = strstr(text, from);
    if (!at)
        fail_msg("nothing like %s in %s", from, text);
    buf_add(&changed, text, (size_t)(at - text));
    buf_puts(&changed, to);
    buf_puts(&changed, at + strlen(from));
    if (evidence_decode(buf_span(&changed), &back, &err) == 0)
        fail_msg("%s instead of %s was accepted", to, from);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(back.ns_pid, 77); /* untouched */
}

/* Stored before compiles were kept: nothing was looked for then. */
static void older_records_are_read(void **state)
{
    (void)state;
    struct evidence ev = {.setup_ok = true, .compile_cache = "off"}, back;
    BUF_AUTO struct buf out = {.max = JSON_MAX};
    BUF_AUTO struct buf old = {.max = JSON_MAX};
    struct err err = {0};
    const char *member = "\"compile_cache\":\"off\",";
    assert_ok(evidence_encode(&ev, &out, &err), err);
    const char *at = strstr(buf_text(&out), member);
    assert_non_null(at);
    buf_add(&old, out.data, (size_t)(at - out.data));
    buf_puts(&old, at + strlen(member));
    assert_ok(evidence_decode(buf_span(&old), &back, &err), err);
    assert_string_equal(back.compile_cache, "off");
    assert_true(back.setup_ok);
}

static void strict(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"\"format\":1", "\"format\":2"},
        {"\"format\":1", "\"format\":\"1\""},
        {"\"setup_ok\":true", "\"setup_ok\":1"},
        {"\"setup_ok\":true", "\"setup_ok\":null"},
        {"\"setup_ok\":true,", ""},
        {"\"setup_ok\":true", "\"setup_ok\":true,\"setup_ok\":true"},
        {"\"setup_ok\":true", "\"setup_ok\":true,\"other\":1"},
        {"\"setup_ok\"", "\"Setup_ok\""},
        {"\"ns_pid\":0", "\"ns_pid\":-1"},
        {"\"ns_pid\":0", "\"ns_pid\":0.5"},
        {"\"ns_pid\":0", "\"ns_pid\":1e300"},
        {"\"ns_pid\":0", "\"ns_pid\":9007199254740993"},
        {"\"ns_pid\":0", "\"ns_pid\":\"9007199254740991\""},
        {"\"ns_pid\":0", "\"ns_pid\":\"09007199254740993\""},
        {"\"ns_pid\":0", "\"ns_pid\":\"18446744073709551616\""},
        {"\"ns_pid\":0", "\"ns_pid\":\"-9007199254740993\""},
        {"\"started_wall_ns\":0", "\"started_wall_ns\":\"9223372036854775808\""},
        {"\"exit_code\":0", "\"exit_code\":256"},
        {"\"exit_code\":0", "\"exit_code\":-1"},
        {"\"exit_code\":0", "\"exit_code\":0.5"},
        {"\"exit_code\":0", "\"exit_code\":\"0\""},
        {"\"signal\":0", "\"signal\":128"},
        {"\"kill_cpu_limit\"", "\"kill_everything\""},
        {"\"kill_cpu_limit\"", "\"kill_cpu_limit\",\"kill_cpu_limit\""},
        {"\"kill_cpu_limit\"", "7"},
        {"[\"pid_namespace\"]", "[\"pid_namespac\"]"},
        {"[\"pid_namespace\"]", "{}"},
        {"\"number\":101", "\"number\":2147483648"},
        {"\"arch\":0", "\"arch\":4294967296"},
        {"[0,0,0,0,0,0]", "[0,0,0,0,0]"},
        {"[0,0,0,0,0,0]", "[0,0,0,0,0,0,0]"},
        {"[0,0,0,0,0,0]", "[0,0,0,0,0,\"0\"]"},
        {"\"ptrace\"", "\"a call with a name that is too long\""},
        {"\"ptrace\"", "\"ptr\\u0001\""},
        {"\"ptrace\"", "\"ptr\xc3\xbc\""},
        {"\"seccomp_count\":1", "\"seccomp_count\":2"},
        {"\"seccomp_count\":1", "\"seccomp_count\":0"},
        {"\"compile\":null", "\"compile\":{}"},
        {"\"compile\":null", "\"compile\":[]"},
        {"\"compile\":null", "\"compile\":false"},
        {"\"compile\":null", "\"compile\":[\"kill_everything\"]"},
        {"\"compile\":null", "\"compile\":[\"kill_cancelled\",\"kill_cancelled\"]"},
        {"\"collection_errors\":[]", "\"collection_errors\":[\"\"]"},
        {"\"collection_errors\":[]", "\"collection_errors\":[1]"},
        {"\"collection_errors\":[]", "\"collection_errors\":null"},
        {"\"collection_errors\":[]",
         "\"collection_errors\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"},
        {"\"stack_bytes\":0", "\"stack_bytes\":0,\"more\":0"},
        /* of no template: both members are left out; of one: both are there */
        {"\"setup_ok\":true", "\"setup_ok\":true,\"template_generation\":0,\"template_jobs\":0"},
        {"\"setup_ok\":true", "\"setup_ok\":true,\"sandbox_runs\":0"},
        {"\"setup_ok\":true", "\"setup_ok\":true,\"sandbox_runs\":-1"},
        {"\"setup_ok\":true", "\"setup_ok\":true,\"template_generation\":1"},
        {"\"setup_ok\":true", "\"setup_ok\":true,\"template_jobs\":1"},
        {"\"setup_ok\":true", "\"setup_ok\":true,\"template_generation\":-1,\"template_jobs\":1"},
    };
    for (size_t i = 0; i < COUNT_OF(changes); i++)
        refuse(changes[i][0], changes[i][1]);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(control_name(CONTROL_pid_namespace), "pid_namespace");
    assert_string_equal(judge_action_name(ACTION_KILL_CPU), "kill_cpu_limit");
    assert_string_equal(judge_action_name(ACTION_KILL_OOM), "kill_memory_limit");
    assert_string_equal(judge_action_name(ACTION_KILL_CANCEL), "kill_cancelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_evidence),
        cmocka_unit_test(largest),
        cmocka_unit_test(texts_are_cleaned),
        cmocka_unit_test(truncated),
        cmocka_unit_test(garbled),
        cmocka_unit_test(older_records_are_read),
        cmocka_unit_test(strict),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
