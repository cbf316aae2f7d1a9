/* schemas: terminal results: packing, summary, the v1 body and its open form, the canonical text.
 */
#include "lib/base/enc.h"
#include "lib/crypto/crypto.h"
#include "schemas/payload.h"
#include "schemas/result.h"
#include "tests/unit/unit.h"
#include <jansson.h>

#define NS(ms) (INT64_C(1795464900000000000) + (ms)*1000000)

static struct result sample(void)
{
    struct result result = {
        .language = LANGUAGE_c,
        .profile = PROFILE_JUDGE,
        .verdict = {.verdict = VERDICT_AC,
                    .cause = CAUSE_normal_exit,
                    .has_exit_code = true,
                    .integrity = OUTPUT_COMPLETE},
        .has_evidence = true,
        .times = {.received = NS(1),
                  .produced = NS(2),
                  .validated = NS(3),
                  .admitted = NS(4),
                  .dequeued = NS(5)},
        .started_ns = NS(6),
        .completed_ns = NS(20),
        .out = SPAN_LIT("hello\n"),
        .errout = SPAN_LIT(""),
        .policy = "2026-01",
    };
    struct evidence *ev = &result.evidence;
    ev->setup_ok = true;
    ev->controls_applied = UINT32_C(1) << CONTROL_pid_namespace | UINT32_C(1)
                                                                      << CONTROL_memory_limit;
    ev->controls_missing = UINT32_C(1) << CONTROL_landlock;
    ev->ns_pid = 4026532177;
    ev->run = (struct phase_evidence){
        .ran = true,
        .reported = true,
        .exited = true,
        .limits = {.memory_bytes = 268435456, .cpu_ms = 8000, .wall_ms = 10000},
        .cpu_ns = 1234567,
        .wall_ns = 2000000,
        .memory_peak_bytes = 1048576,
        .pids_peak = 1,
        .pids_max = 8,
        .stdout_bytes = 6,
        .group_empty = true};
    snprintf(ev->filter_sha256, sizeof ev->filter_sha256, "%064d", 0);
    snprintf(ev->toolchain, sizeof ev->toolchain, "gcc 12.2.0-14");
    snprintf(ev->tier, sizeof ev->tier, "cold");
    snprintf(ev->compile_cache, sizeof ev->compile_cache, "hit");
    snprintf(ev->cgroup_backend, sizeof ev->cgroup_backend, "v1");
    memset(result.digest, 0xab, sizeof result.digest);
    assert_int_equal(uuid_parse(SPAN_LIT("01a209bd-d7db-7000-8000-00000000002a"), &result.id), 0);
    return result;
}

static void pack(const struct result *result, struct buf *out)
{
    struct err err;
    buf_clear(out);
    assert_ok(result_pack(result, out, &err), err);
}

#define ABS "abababababababababababababababababababababababababababababababab"
static const char golden_meta[] =
    "{\"cause\":\"normal_exit\",\"completed_ns\":\"1795464900020000000\",\"cpu_ns\":1234567,"
    "\"digest\":\"" ABS "\",\"error_message\":null,\"exit_code\":0,\"format\":1,\"id\":\"01a209bd-"
    "d7db-7000-8000-00000000002a\","
    "\"integrity\":\"complete\",\"language\":\"c\",\"memory_peak_bytes\":1048576,\"policy\":\"2026-"
    "01\","
    "\"profile\":\"judge\",\"signal\":null,\"started_ns\":\"1795464900006000000\",\"stderr_bytes\":"
    "0,"
    "\"stdout_bytes\":6,\"times\":[\"1795464900001000000\",\"1795464900002000000\","
    "\"1795464900003000000\","
    "\"1795464900004000000\",\"1795464900005000000\"],\"verdict\":\"AC\",\"wall_ns\":2000000}";

static void metadata_is_golden(void **state)
{
    (void)state;
    struct result result = sample();
    struct payload parts;
    struct err err;
    BUF_AUTO struct buf out = {.max = 100000}, ev = {.max = 100000};
    pack(&result, &out);
    assert_ok(payload_unpack(buf_span(&out), &parts, &err), err);
    assert_true(span_is(parts.meta, golden_meta));
    assert_int_equal(parts.sections, 3);
    assert_true(span_is(payload_section(&parts, SECTION_STDOUT), "hello\n"));
    assert_ok(evidence_encode(&result.evidence, &ev, &err), err);
    assert_true(span_eq(payload_section(&parts, SECTION_EVIDENCE), buf_span(&ev)));
}

static void results_return(void **state)
{
    (void)state;
    struct result result = sample(), back;
    struct err err;
    struct arena arena;
    arena_init(&arena, 10000);
    result.error_message = "code: must be 1 to 65536 bytes, got 70000";
    result.verdict.has_exit_code = false;
    result.verdict.has_signal = true;
    result.verdict.signal = 11;
    result.evidence.run.cpu_ns = INT64_MAX; /* above 2^53 */
    BUF_AUTO struct buf out = {.max = 100000}, again = {.max = 100000};
    pack(&result, &out);
    assert_ok(result_unpack(buf_span(&out), &arena, &back, &err), err);
    assert_string_equal(back.error_message, result.error_message);
    pack(&back, &again);
    assert_true(span_eq(buf_span(&out), buf_span(&again)));
    /* what was measured is enough to decide again */
    result = sample();
    pack(&result, &out);
    assert_ok(result_unpack(buf_span(&out), &arena, &back, &err), err);
    struct decision decided = verdict_decide(&back.evidence, TAXONOMY_STANDARD);
    assert_int_equal(decided.verdict, VERDICT_AC);
    assert_int_equal(decided.cause, CAUSE_normal_exit);
    arena_done(&arena);
}

static void summaries(void **state)
{
    (void)state;
    struct result result = sample();
    struct result_summary sum;
    struct err err;
    BUF_AUTO struct buf out = {.max = 100000};
    result.evidence.run.cpu_ns = (UINT64_C(1) << 53) + 1; /* a double would lose the 1 */
    pack(&result, &out);
    assert_ok(result_summary(buf_span(&out), &sum, &err), err);
    assert_int_equal(sum.verdict, VERDICT_AC);
    assert_int_equal(sum.cause, CAUSE_normal_exit);
    assert_int_equal(sum.language, LANGUAGE_c);
    assert_true(sum.has_exit_code && !sum.has_signal);
    assert_int_equal(sum.exit_code, 0);
    assert_true(sum.cpu_ns == (UINT64_C(1) << 53) + 1);
    assert_int_equal(sum.wall_ns, 2000000);
    assert_int_equal(sum.memory_peak_bytes, 1048576);
    assert_int_equal(sum.stdout_bytes, 6);
    assert_true(sum.received_ns == NS(1) && sum.started_ns == NS(6) && sum.completed_ns == NS(20));
}

static const char golden_body[] =
    "{\"id\":\"01a209bd-d7db-7000-8000-00000000002a\",\"language\":\"c\",\"job_status\":"
    "\"completed\","
    "\"schema_version\":\"1.0\",\"verdict\":\"AC\",\"exit_code\":0,\"signal\":null,\"stdout\":"
    "\"hello\\n\","
    "\"stderr\":\"\",\"output_integrity\":\"complete\",\"error_message\":null,\"cpu_time_secs\":0."
    "001234,"
    "\"wall_time_secs\":0.002000,\"memory_peak_bytes\":1048576,\"evidence\":{\"verdict_cause\":"
    "\"normal_exit\","
    "\"verdict_actor\":\"runtime\",\"isolation_mode\":\"enforced\",\"phase\":\"run\","
    "\"controls_applied\":[\"pid_namespace\",\"memory_limit\"],\"controls_missing\":[\"landlock\"],"
    "\"cgroup\":{\"memory_limit_bytes\":268435456,\"memory_peak_bytes\":1048576,\"oom_events\":0,"
    "\"oom_kill_events\":0,\"cpu_usage_usec\":1234,\"process_count\":1,\"process_limit\":8,"
    "\"backend\":\"v1\","
    "\"processes_denied\":0},\"timing\":{\"cpu_ms\":1,\"wall_ms\":2,\"cpu_wall_ratio\":0.617,"
    "\"divergence\":\"cpu_bound\"},\"process_lifecycle\":{\"reap_status\":\"clean\","
    "\"descendant_containment\":\"ok\",\"zombie_count\":0,\"survivor_count\":0},\"judge_actions\":["
    "],"
    "\"collection_errors\":[],\"seccomp\":{\"filter_sha256\":"
    "\"0000000000000000000000000000000000000000000000000000000000000000\",\"count\":0,\"events\":[]"
    "},"
    "\"namespaces\":{\"pid\":4026532177,\"mnt\":0,\"net\":0,\"ipc\":0,\"uts\":0,\"cgroup\":0,"
    "\"user\":0},"
    "\"limits\":{\"memory_bytes\":268435456,\"cpu_ms\":8000,\"wall_ms\":10000,\"processes\":0,"
    "\"open_files\":0,"
    "\"file_bytes\":0,\"tmp_bytes\":0,\"output_bytes\":0,\"stack_bytes\":0},\"toolchain\":\"gcc "
    "12.2.0-14\","
    "\"tier\":\"cold\",\"compile_cache\":\"hit\",\"queue\":{\"received\":\"2026-11-23T20:15:00."
    "001000Z\","
    "\"validated\":\"2026-11-23T20:15:00.003000Z\",\"admitted\":\"2026-11-23T20:15:00.004000Z\","
    "\"dequeued\":\"2026-11-23T20:15:00.005000Z\"},\"policy_version\":\"2026-01\","
    "\"measured\":%s,\"outputs\":{\"stdout_sha256\":"
    "\"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\",\"stderr_sha256\":"
    "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},"
    "\"submission_digest\":\"" ABS "\",\"digest\":\"%s\"},\"created_at\":\"2026-11-23T18:49:26."
    "235000Z\",\"started_at\":\"2026-11-23T20:15:00."
    "006000Z\","
    "\"completed_at\":\"2026-11-23T20:15:00.020000Z\"}";

static json_t *body_of(const struct result *result)
{
    struct err err;
    json_error_t error;
    BUF_AUTO struct buf out = {.max = 100000}, body = {.max = 1000000};
    pack(result, &out);
    assert_ok(result_body(buf_span(&out), &result->id, &body, &err), err);
    json_t *json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("the body is not strict JSON: %s: %s", error.text, body.data);
    return json;
}

static const char *text_of(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

/* The digest's text, written out once by hand. */
static const char *golden_digest(struct buf *measured)
{
    static char hex[HEX_SIZE(SHA256_BYTES)];
    uint8_t hash[SHA256_BYTES];
    BUF_AUTO struct buf text = {.max = 100000};
    buf_printf(&text,
               "form=rustbox-result/1\nid=01a209bd-d7db-7000-8000-00000000002a\nlanguage=c\n"
               "verdict=AC\ncause=normal_exit\nexit_code=0\nsignal=null\n"
               "output_integrity=complete\n"
               "stdout=5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\n"
               "stderr=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
               "error_message=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
               "received=1795464900001000\nvalidated=1795464900003000\nadmitted=1795464900004000\n"
               "dequeued=1795464900005000\nstarted=1795464900006000\ncompleted=1795464900020000\n"
               "policy=2026-01\nsubmission=" ABS "\nevidence=%s\n",
               buf_text(measured));
    sha256(buf_span(&text), hash);
    hex_encode(hash, sizeof hash, hex);
    return hex;
}

static void body_is_golden(void **state)
{
    (void)state;
    struct result result = sample();
    struct err err;
    BUF_AUTO struct buf out = {.max = 100000}, body = {.max = 100000}, tight = {.max = 500};
    BUF_AUTO struct buf measured = {.max = 100000}, wanted = {.max = 100000};
    pack(&result, &out);
    assert_ok(result_body(buf_span(&out), &result.id, &body, &err), err);
    assert_ok(evidence_encode(&result.evidence, &measured, &err), err);
    buf_printf(&wanted, golden_body, buf_text(&measured), golden_digest(&measured));
    assert_string_equal(buf_text(&body), buf_text(&wanted));
    assert_err(result_body(buf_span(&out), &result.id, &tight, &err), err, ERR_TOO_LARGE);
    json_decref(body_of(&result));
}

/* The names that clients of the v1 contract look for. */
static void every_name_of_the_contract(void **state)
{
    (void)state;
    static const char *const top[] = {"id",
                                      "language",
                                      "job_status",
                                      "schema_version",
                                      "verdict",
                                      "exit_code",
                                      "signal",
                                      "stdout",
                                      "stderr",
                                      "output_integrity",
                                      "error_message",
                                      "cpu_time_secs",
                                      "wall_time_secs",
                                      "memory_peak_bytes",
                                      "evidence",
                                      "created_at",
                                      "started_at",
                                      "completed_at"};
    static const char *const inner[] = {"verdict_cause",
                                        "verdict_actor",
                                        "isolation_mode",
                                        "controls_applied",
                                        "controls_missing",
                                        "cgroup",
                                        "timing",
                                        "process_lifecycle",
                                        "judge_actions",
                                        "collection_errors",
                                        "seccomp",
                                        "namespaces",
                                        "limits",
                                        "toolchain",
                                        "tier",
                                        "compile_cache",
                                        "queue",
                                        "policy_version",
                                        "digest"};
    struct result full = sample(), rejected = sample();
    rejected.has_evidence = false;
    memset(&rejected.evidence, 0, sizeof rejected.evidence);
    rejected.verdict = verdict_without_run(CAUSE_ie_rejected_invalid);
    rejected.error_message = "stdin: must be well-formed UTF-8";
    rejected.started_ns = 0;
    rejected.out = rejected.errout = SPAN_LIT("");
    for (int i = 0; i < 2; i++) {
        json_t *json = body_of(i ? &rejected : &full);
        const json_t *ev = json_object_get(json, "evidence");
        for (size_t n = 0; n < COUNT_OF(top); n++)
            assert_non_null(json_object_get(json, top[n]));
        for (size_t n = 0; n < COUNT_OF(inner); n++)
            assert_non_null(json_object_get(ev, inner[n]));
        assert_true(json_is_real(json_object_get(json, "cpu_time_secs")));
        assert_true(json_is_real(json_object_get(json, "wall_time_secs")));
        assert_true(json_is_integer(json_object_get(json, "memory_peak_bytes")));
        if (i) {
            assert_string_equal(text_of(json, "verdict"), "IE");
            assert_string_equal(text_of(json, "job_status"), "error");
            assert_string_equal(text_of(json, "error_message"), "stdin: must be well-formed UTF-8");
            assert_string_equal(text_of(ev, "verdict_cause"), "ie_rejected_invalid");
            assert_string_equal(text_of(ev, "isolation_mode"), "not_run");
            assert_true(json_is_null(json_object_get(json, "started_at")));
            assert_true(json_is_null(json_object_get(json, "exit_code")));
        }
        json_decref(json);
    }
    rejected.error_message = NULL; /* the cause's own */
    json_t *json = body_of(&rejected);
    assert_string_equal(text_of(json, "error_message"), "the submission breaks a rule");
    json_decref(json);
}

static void any_output_comes_out(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        const char *text, *twin; /* twin NULL: none */
    } cases[] = {
        {SPAN_LIT("plain"), "plain", NULL},
        {SPAN_LIT("gr\xc3\xbc\xc3\x9f \"\\\x01"), "gr\xc3\xbc\xc3\x9f \"\\\x01", NULL},
        {SPAN_LIT("a\0b"),
         "a\xef\xbf\xbd"
         "b",
         "YQBi"},
        {SPAN_LIT("\xff"), "\xef\xbf\xbd", "/w=="},
        {SPAN_LIT("cut \xe2\x82"), "cut \xef\xbf\xbd", "Y3V0IOKC"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct result result = sample();
        result.out = cases[i].bytes;
        result.errout = cases[COUNT_OF(cases) - 1 - i].bytes;
        json_t *json = body_of(&result);
        assert_string_equal(text_of(json, "stdout"), cases[i].text);
        const char *twin = text_of(json, "stdout_base64");
        assert_int_equal(twin != NULL, cases[i].twin != NULL);
        if (twin)
            assert_string_equal(twin, cases[i].twin);
        assert_int_equal(text_of(json, "stderr_base64") != NULL,
                         cases[COUNT_OF(cases) - 1 - i].twin != NULL);
        json_decref(json);
    }
}

static void open_bodies_have_no_verdict(void **state)
{
    (void)state;
    struct result result = sample();
    BUF_AUTO struct buf out = {.max = 1000};
    result_body_open(&result.id, LANGUAGE_python, false, NS(0), 0, &out);
    assert_string_equal(
        buf_text(&out),
        "{\"id\":\"01a209bd-d7db-7000-8000-00000000002a\",\"language\":\"python\","
        "\"job_status\":\"pending\",\"schema_version\":\"1.0\",\"exit_code\":null,\"signal\":null,"
        "\"created_at\":\"2026-11-23T20:15:00.000000Z\",\"started_at\":null}");
    buf_clear(&out);
    result_body_open(&result.id, LANGUAGE_python, true, NS(0), NS(5), &out);
    assert_non_null(strstr(buf_text(&out), "\"job_status\":\"running\""));
    assert_null(strstr(buf_text(&out), "verdict"));
}

/* Two executions differ in what was measured, not in what the program did. */
static void canonical_text_ignores_measurements(void **state)
{
    (void)state;
    struct result a = sample(), b = sample();
    struct err err;
    b.evidence.run.cpu_ns += 17;
    b.completed_ns += 99;
    b.times.dequeued += 5;
    BUF_AUTO struct buf out = {.max = 100000}, p = {.max = 10000}, q = {.max = 10000};
    pack(&a, &out);
    assert_ok(result_canonical(buf_span(&out), &p, &err), err);
    assert_string_equal(
        buf_text(&p),
        "{\"cause\":\"normal_exit\",\"exit_code\":0,\"id\":\"01a209bd-d7db-7000-8000-"
        "00000000002a\","
        "\"integrity\":\"complete\",\"signal\":null,\"verdict\":\"AC\"}\n6\nhello\n\n0\n");
    pack(&b, &out);
    assert_ok(result_canonical(buf_span(&out), &q, &err), err);
    assert_true(span_eq(buf_span(&p), buf_span(&q)));
    b.out = SPAN_LIT("hallo\n");
    buf_clear(&q);
    pack(&b, &out);
    assert_ok(result_canonical(buf_span(&out), &q, &err), err);
    assert_false(span_eq(buf_span(&p), buf_span(&q)));
}

static const struct case_result ran = {.name = SPAN_LIT("n\x01"),
                                       .ran = true,
                                       .verdict = {.verdict = VERDICT_WA,
                                                   .cause = CAUSE_wrong_answer,
                                                   .has_exit_code = true,
                                                   .integrity = OUTPUT_COMPLETE},
                                       .cpu_ns = 1500000,
                                       .wall_ns = 2500000,
                                       .memory_peak_bytes = 77,
                                       .stdout_bytes = 5000,
                                       .stderr_bytes = 1,
                                       .ns_pid = 4026532177,
                                       .ns_mnt = 4026532178,
                                       .out = SPAN_LIT("o\xff"),
                                       .errout = SPAN_LIT("e")};

static void cases_return(void **state)
{
    (void)state;
    struct case_result cases[] = {ran, {.name = SPAN_LIT("2")}, ran};
    struct result in = sample(), back;
    struct result_summary sum;
    struct arena arena;
    struct err err;
    BUF_AUTO struct buf out = {.max = 100000}, body = {.max = 100000}, p = {.max = 10000},
                        q = {.max = 10000};
    in.cases = cases;
    in.case_count = COUNT_OF(cases);
    cases[2].verdict = (struct decision){.cause = CAUSE_re_fatal_signal,
                                         .verdict = VERDICT_SIG,
                                         .has_signal = true,
                                         .signal = 11,
                                         .integrity = OUTPUT_CRASH_MID_WRITE};
    cases[2].memory_peak_bytes = 99;
    memset(cases[2].evidence_sha256, 0xcd, 32);
    pack(&in, &out);
    arena_init(&arena, 1 << 20);
    assert_ok(result_unpack(buf_span(&out), &arena, &back, &err), err);
    assert_int_equal(back.case_count, 3);
    assert_true(span_is(back.cases[0].name, "n\x01") && back.cases[0].ran && !back.cases[1].ran);
    assert_true(span_eq(back.cases[2].out, ran.out) && span_is(back.cases[2].errout, "e"));
    assert_int_equal(back.cases[2].verdict.signal, 11);
    assert_memory_equal(back.cases[2].evidence_sha256, cases[2].evidence_sha256, 32);
    assert_ok(result_summary(buf_span(&out), &sum, &err), err);
    assert_int_equal(sum.cpu_ns, 3000000); /* what the project is charged: all of them */
    assert_int_equal(sum.memory_peak_bytes, 99);
    assert_int_equal(sum.stdout_bytes, 10000);
    assert_ok(result_body(buf_span(&out), &in.id, &body, &err), err);
    assert_non_null(strstr(
        buf_text(&body),
        "\"cpu_time_secs\":0.003000,\"wall_time_secs\":0.005000,\"memory_peak_bytes\":99,"
        "\"cases_summary\":{\"total\":3,\"run\":2,\"passed\":0},\"cases\":[{\"name\":\"n\\u0001\","
        "\"verdict\":\"WA\",\"verdict_cause\":\"wrong_answer\",\"exit_code\":0,\"signal\":null,"
        "\"stdout\":\"o\xef\xbf\xbd\",\"stdout_base64\":\"b/"
        "8=\",\"stderr\":\"e\",\"stdout_bytes\":5000,"
        "\"stdout_truncated\":true,\"stderr_bytes\":1,\"stderr_truncated\":false,"));
    assert_non_null(strstr(buf_text(&body), "{\"name\":\"2\",\"skipped\":true}"));
    /* Duplicates: what was measured does not count, what was done does. */
    assert_ok(result_canonical(buf_span(&out), &p, &err), err);
    cases[0].cpu_ns = cases[0].ns_mnt = 1;
    pack(&in, &out);
    assert_ok(result_canonical(buf_span(&out), &q, &err), err);
    assert_true(span_eq(buf_span(&p), buf_span(&q)));
    buf_clear(&q);
    cases[0].verdict.cause = CAUSE_re_nonzero_exit;
    pack(&in, &out);
    assert_ok(result_canonical(buf_span(&out), &q, &err), err);
    assert_false(span_eq(buf_span(&p), buf_span(&q)));
    arena_done(&arena);
}

static void cases_are_cut(void **state)
{
    (void)state;
    static char big[10000];
    static const struct {
        size_t out, errout, left, kept_out, kept_err;
    } rows[] = {
        {0, 0, CASES_OUTPUT_MAX, 0, 0},
        {4096, 0, CASES_OUTPUT_MAX, 4096, 0},
        {4097, 0, CASES_OUTPUT_MAX, 4096, 0},
        {9999, 9999, CASES_OUTPUT_MAX, 3072, 1024},
        {0, 9999, CASES_OUTPUT_MAX, 0, 4096},
        {3000, 9999, CASES_OUTPUT_MAX, 3000, 1096},
        {9999, 10, CASES_OUTPUT_MAX, 4086, 10},
        {9999, 9999, 2000, 976, 1024},
        {9999, 9999, 100, 0, 100},
        {9999, 9999, 0, 0, 0},
    };
    memset(big, 'x', sizeof big);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct case_result one = {.out = span_of(big, rows[i].out),
                                  .errout = span_of(big, rows[i].errout)};
        size_t left = rows[i].left;
        case_cut(&one, &left);
        if (one.out.len != rows[i].kept_out || one.errout.len != rows[i].kept_err)
            fail_msg("row %zu: %zu and %zu", i, one.out.len, one.errout.len);
        assert_int_equal(rows[i].left - left, one.out.len + one.errout.len);
    }
    struct case_result one = {.out = SPAN_LIT("ab\xc3\xbc")};
    size_t left = 3;
    case_cut(&one, &left);
    assert_true(span_is(one.out, "ab")); /* no half of a character */
}

/* Sealed by us, but a reader of a newer or broken writer must not follow it out of the section. */
static void garbled_cases_are_corrupt(void **state)
{
    (void)state;
    struct case_result cases[] = {ran, {.name = SPAN_LIT("2")}};
    struct result in = sample(), back;
    struct payload parts;
    struct err err;
    BUF_AUTO struct buf out = {.max = 100000}, again = {.max = 100000}, body = {.max = 100000};
    in.cases = cases;
    in.case_count = COUNT_OF(cases);
    pack(&in, &out);
    assert_ok(payload_unpack(buf_span(&out), &parts, &err), err);
    struct span whole = payload_section(&parts, SECTION_CASES);
    size_t refused = 0;
    char copy[2000];
    assert_true(whole.len < sizeof copy && parts.section[parts.sections - 1].kind == SECTION_CASES);
    for (size_t i = 0; i < whole.len; i++) {
        struct arena arena;
        memcpy(copy, whole.data, whole.len);
        copy[i] ^= 0x11;
        for (int cut = 0; cut < 2; cut++) {
            parts.section[parts.sections - 1].bytes =
                cut ? span_of(whole.data, i) : span_of(copy, whole.len);
            buf_clear(&again);
            buf_clear(&body);
            assert_ok(payload_pack(&parts, &again, &err), err);
            arena_init(&arena, 1 << 20);
            int failed = result_unpack(buf_span(&again), &arena, &back, &err);
            assert_true(!cut || failed);
            refused += failed != 0;
            assert_true(failed == 0 || err.code == ERR_CORRUPT);
            assert_int_equal(result_body(buf_span(&again), &in.id, &body, &err) != 0, failed != 0);
            arena_done(&arena);
        }
    }
    assert_true(refused > whole.len);
}

/* A payload with the golden metadata, something of it replaced. */
static void pack_changed(const char *from, const char *to, struct buf *out)
{
    BUF_AUTO struct buf meta = {.max = 10000};
    struct err err;
    const char *at = strstr(golden_meta, from);
    assert_non_null(at);
    buf_add(&meta, golden_meta, (size_t)(at - golden_meta));
    buf_puts(&meta, to);
    buf_puts(&meta, at + strlen(from));
    struct payload payload = {.meta = buf_span(&meta)};
    assert_ok(payload_pack(&payload, out, &err), err);
}

static void garbled_metadata_is_corrupt(void **state)
{
    (void)state;
    struct result_summary sum;
    struct err err;
    static const char *const cuts[][2] = {
        {"\"format\":1", "\"format\":2"},
        {"\"AC\"", "\"XX\""},
        {"normal_exit", "bribed"},
        {"\"exit_code\":0", "\"exit_code\":\"0\""},
        {"\"cpu_ns\":1234567", "\"cpu_ns\":-1"},
        {"\"cpu_ns\":1234567", "\"cpu_ns\":\"9223372036854775808\""},
        {"\"2026-01", "\"\xff"},
        {"\"1795464900002000000\"", "\"x\""},
        {"\"language\":\"c\"", "\"language\":1"},
        {"\"wall_ns\":2000000", "\"wall\":2000000"},
        {"{", "["},
    };
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        BUF_AUTO struct buf out = {.max = 10000};
        pack_changed(cuts[i][0], cuts[i][1], &out);
        assert_err(result_summary(buf_span(&out), &sum, &err), err, ERR_CORRUPT);
    }
    /* A body with a label twice would be no strict JSON. Summaries have no labels. */
    static const char *const labels[] = {"\"a\":\"1\",\"b\":\"1\"", "\"a\":\"1\",\"a\":\"1\"",
                                         "\"b\":\"1\",\"a\":\"1\""};
    for (size_t i = 0; i < COUNT_OF(labels); i++) {
        BUF_AUTO struct buf out = {.max = 10000};
        struct result result;
        struct arena arena;
        char to[100];
        snprintf(to, sizeof to, "\"labels\":{%s},\"language\":\"c\"", labels[i]);
        arena_init(&arena, 10000);
        pack_changed("\"language\":\"c\"", to, &out);
        assert_int_equal(result_unpack(buf_span(&out), &arena, &result, &err), i == 0 ? 0 : -1);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_is_golden),
        cmocka_unit_test(results_return),
        cmocka_unit_test(summaries),
        cmocka_unit_test(body_is_golden),
        cmocka_unit_test(every_name_of_the_contract),
        cmocka_unit_test(any_output_comes_out),
        cmocka_unit_test(open_bodies_have_no_verdict),
        cmocka_unit_test(canonical_text_ignores_measurements),
        cmocka_unit_test(cases_return),
        cmocka_unit_test(cases_are_cut),
        cmocka_unit_test(garbled_cases_are_corrupt),
        cmocka_unit_test(garbled_metadata_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
