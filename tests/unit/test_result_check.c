/* schemas/result_check: a body holds against its own evidence; any member altered in it is found.
 */
#include "lib/base/enc.h"
#include "schemas/result_check.h"
#include "tests/unit/unit.h"
#include <jansson.h>
#include <signal.h>

#define NS(ms) (INT64_C(1795464900000000000) + (ms)*1000000)

static struct result sample(void)
{
    struct result result = {
        .language = LANGUAGE_c,
        .has_evidence = true,
        .times = {.received = NS(1), .validated = NS(3), .admitted = NS(4), .dequeued = NS(5)},
        .started_ns = NS(6),
        .completed_ns = NS(20),
        .out = SPAN_LIT("hello\n"),
        .errout = SPAN_LIT("\xff\0x"),
        .policy = "2026-01",
    };
    struct evidence *ev = &result.evidence;
    ev->setup_ok = true;
    ev->run = (struct phase_evidence){.ran = true,
                                      .reported = true,
                                      .exited = true,
                                      .exit_code = 3,
                                      .limits = {.memory_bytes = 268435456, .cpu_ms = 8000},
                                      .cpu_ns = 1234567,
                                      .wall_ns = 2000000,
                                      .memory_peak_bytes = 1048576,
                                      .pids_peak = 1,
                                      .pids_max = 8,
                                      .stdout_bytes = 6,
                                      .group_empty = true};
    ev->compile = ev->run;
    ev->compile.exit_code = 0;
    snprintf(ev->tier, sizeof ev->tier, "cold");
    snprintf(ev->cgroup_backend, sizeof ev->cgroup_backend, "v1");
    assert_int_equal(uuid_parse(SPAN_LIT("01a209bd-d7db-7000-8000-00000000002a"), &result.id), 0);
    result.verdict = verdict_decide(ev, TAXONOMY_STANDARD);
    return result;
}

static void check_text(const char *text, size_t len, struct result_check *check)
{
    struct err err;
    assert_ok(result_check(span_of(text, len), check, &err), err);
}

static void body_of(const struct result *result, struct buf *out)
{
    struct err err;
    assert_ok(result_body_of(result, &result->id, out, &err), err);
}

static bool holds(const struct result_check *check)
{
    return result_check_equal(check) && result_check_digest_holds(check) && !check->altered[0];
}

static void own_bodies_hold(void **state)
{
    (void)state;
    struct result results[5];
    for (size_t i = 0; i < COUNT_OF(results); i++)
        results[i] = sample();
    results[1].evidence.run.exit_code = 0;
    results[1].evidence.run.cpu_ns = UINT64_MAX / 2;
    results[2].evidence.run.exited = false;
    results[2].evidence.run.signaled = true;
    results[2].evidence.run.signal = SIGSEGV;
    results[3].evidence.run.actions = ACTION_KILL_SECCOMP; /* exit code 159 is ours */
    results[4].evidence.compile.exit_code = 1;
    results[4].evidence.run = (struct phase_evidence){0};
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        struct result_check check;
        BUF_AUTO struct buf body = {.max = 100000};
        results[i].verdict = verdict_decide(&results[i].evidence, TAXONOMY_STANDARD);
        body_of(&results[i], &body);
        check_text(body.data, body.len, &check);
        assert_false(check.open || check.no_evidence);
        assert_string_equal(check.altered, "");
        assert_true(holds(&check));
        assert_true(span_eq(check.result.errout, results[i].errout));
        result_check_done(&check);
    }
}

/* A body as another tool prints it again: order, spaces, floats. */
static void other_prints_hold(void **state)
{
    (void)state;
    struct result result = sample();
    struct result_check check;
    BUF_AUTO struct buf body = {.max = 100000};
    result.evidence.run.cpu_ns = 0; /* 0.000000 */
    body_of(&result, &body);
    json_t *json = json_loadb(body.data, body.len, 0, NULL);
    json_object_set_new(json, "cpu_time_secs", json_integer(0));
    json_object_set_new(json, "member_of_a_later_version", json_true());
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS);
    check_text(text, strlen(text), &check);
    assert_true(holds(&check));
    result_check_done(&check);
    free(text);
    json_decref(json);
}

/* Another value of the same type. */
static json_t *another(const json_t *leaf)
{
    if (json_is_integer(leaf))
        return json_integer(json_integer_value(leaf) ^ 1);
    if (json_is_real(leaf))
        return json_real(json_real_value(leaf) + 1);
    if (json_is_boolean(leaf))
        return json_boolean(!json_is_true(leaf));
    if (json_is_null(leaf))
        return json_integer(1);
    char text[512];
    snprintf(text, sizeof text, "%s", json_string_value(leaf));
    size_t len = strlen(text);
    if (len == 0)
        return json_string("x");
    text[len - 1] = text[len - 1] == '1' ? '2' : '1';
    return json_string(text);
}

static size_t altered_count, unread_count;

static void alter_each(json_t *root, json_t *at)
{
    const char *key;
    void *next;
    json_t *item;
    json_object_foreach_safe(at, next, key, item)
    {
        if (json_is_object(item))
            alter_each(root, item);
        if (json_is_object(item) || json_is_array(item))
            continue;
        struct err err;
        struct result_check check;
        json_t *kept = json_incref(item);
        json_object_set_new(at, key, another(item));
        char *text = json_dumps(root, JSON_COMPACT);
        if (result_check(span_text(text), &check, &err))
            unread_count++; /* refused: as good */
        else if (holds(&check))
            fail_msg("%s altered, and nobody noticed", key);
        altered_count++;
        result_check_done(&check);
        free(text);
        json_object_set_new(at, key, kept);
    }
}

static void every_altered_member_is_found(void **state)
{
    (void)state;
    struct result result = sample();
    BUF_AUTO struct buf body = {.max = 100000};
    body_of(&result, &body);
    json_t *json = json_loadb(body.data, body.len, 0, NULL);
    alter_each(json, json);
    json_decref(json);
    assert_true(altered_count > 120);
    assert_true(unread_count < altered_count / 2);
}

static const struct case_result two_cases[] = {
    {.name = SPAN_LIT("a"),
     .ran = true,
     .verdict = {.verdict = VERDICT_RE,
                 .cause = CAUSE_re_nonzero_exit,
                 .has_exit_code = true,
                 .exit_code = 3},
     .cpu_ns = 1234567,
     .wall_ns = 2000999,
     .memory_peak_bytes = 1048576,
     .stdout_bytes = 9,
     .ns_pid = 4026532001,
     .ns_mnt = 4026532002,
     .out = SPAN_LIT("hello\n"),
     .errout = SPAN_LIT("\xff\0x")},
    {.name = SPAN_LIT("b")},
};

static json_t *body_with_cases(struct buf *body)
{
    struct result result = sample();
    result.cases = two_cases;
    result.case_count = COUNT_OF(two_cases);
    body_of(&result, body);
    return json_loadb(body->data, body->len, 0, NULL);
}

static void check_json(const json_t *json, struct result_check *check)
{
    char *text = json_dumps(json, JSON_COMPACT);
    check_text(text, strlen(text), check);
    free(text);
}

static void every_altered_member_of_a_case_is_found(void **state)
{
    (void)state;
    struct result_check check;
    BUF_AUTO struct buf body = {.max = 100000};
    json_t *json = body_with_cases(&body), *cases = json_object_get(json, "cases");
    check_text(body.data, body.len, &check);
    assert_true(holds(&check) && !check.cases_uncovered);
    result_check_done(&check);
    altered_count = unread_count = 0;
    alter_each(json, json); /* the totals among them */
    assert_true(altered_count > 120);
    altered_count = unread_count = 0;
    for (size_t i = 0; i < COUNT_OF(two_cases); i++)
        alter_each(json, json_array_get(cases, i));
    assert_int_equal(altered_count, 19 + 2);
    json_array_remove(cases, 1);
    check_json(json, &check);
    assert_false(result_check_digest_holds(&check));
    result_check_done(&check);
    json_decref(json);
}

/* Only a body without its cases is cut: the word alone does not keep them from being looked at. */
static void a_body_with_cases_is_not_cut(void **state)
{
    (void)state;
    static const char *const words[] = {"cases_truncated", "stdout_truncated", "stderr_truncated"};
    struct result_check check;
    BUF_AUTO struct buf body = {.max = 100000};
    json_t *json = body_with_cases(&body), *cases = json_object_get(json, "cases");
    json_object_set_new(json_array_get(cases, 0), "stdout", json_string("hellO\n"));
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        json_object_set_new(json, words[i], json_true());
        check_json(json, &check);
        assert_false(check.cut || holds(&check));
        result_check_done(&check);
    }
    json_object_del(json, "cases");
    check_json(json, &check);
    assert_true(check.cut && check.has_cases && holds(&check));
    assert_false(result_check_digest_is(&check, check.stated));
    result_check_done(&check);
    json_decref(json);
}

/* Each case's figures lose what is below a microsecond, their sum does not: it may be that much
 * larger, and no more. */
static void totals_are_sums(void **state)
{
    (void)state;
    static const struct {
        double more;
        bool held;
    } rows[] = {{0, true}, {1e-6, true}, {3e-6, false}, {-2e-6, false}, {1, false}};
    struct result_check check;
    struct case_result cases[2] = {two_cases[0], two_cases[0]};
    struct result result = sample();
    BUF_AUTO struct buf body = {.max = 100000};
    result.cases = cases;
    result.case_count = COUNT_OF(cases);
    cases[0].wall_ns = cases[1].wall_ns = 2000999; /* in all 4.001998 ms, of which 1 us is lost */
    body_of(&result, &body);
    json_t *json = json_loadb(body.data, body.len, 0, NULL);
    check_json(json, &check);
    assert_true(holds(&check));
    result_check_done(&check);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_object_set_new(json, "wall_time_secs", json_real(0.004 + rows[i].more));
        check_json(json, &check);
        assert_int_equal(holds(&check), rows[i].held);
        result_check_done(&check);
    }
    json_decref(json);
}

/* As it was stored when digests did not cover the cases. */
static void a_digest_of_form_1_holds(void **state)
{
    (void)state;
    struct err err;
    struct result_check check;
    struct result result = sample();
    uint8_t hash[32], other[32] = {1};
    char hex[HEX_SIZE(32)];
    BUF_AUTO struct buf body = {.max = 100000};
    json_t *json = body_with_cases(&body);
    assert_ok(result_digest(&result, &result.id, hash, &err), err); /* without cases: form 1 */
    hex_encode(hash, sizeof hash, hex);
    check_json(json, &check); /* whoever kept it and asks again gets a body of form 2 */
    assert_true(result_check_digest_is(&check, hash) && !check.cases_uncovered);
    assert_true(result_check_digest_is(&check, check.stated));
    assert_false(result_check_digest_is(&check, other));
    result_check_done(&check);
    json_object_set_new(json_object_get(json, "evidence"), "digest", json_string(hex));
    check_json(json, &check);
    assert_true(holds(&check) && check.cases_uncovered);
    result_check_done(&check);
    json_decref(json);
}

/* The evidence says RE; whoever writes AC above it and makes the digest anew is told by the rules.
 */
static void another_verdict_differs(void **state)
{
    (void)state;
    struct result result = sample();
    struct result_check check;
    BUF_AUTO struct buf body = {.max = 100000};
    result.verdict =
        (struct decision){.verdict = VERDICT_AC, .cause = CAUSE_normal_exit, .has_exit_code = true};
    body_of(&result, &body);
    check_text(body.data, body.len, &check);
    assert_true(result_check_digest_holds(&check));
    assert_false(result_check_equal(&check));
    assert_int_equal(check.recomputed.cause, CAUSE_re_nonzero_exit);
    result_check_done(&check);
}

static void without_a_run(void **state)
{
    (void)state;
    struct result result = sample();
    struct result_check check;
    BUF_AUTO struct buf body = {.max = 100000};
    result.has_evidence = false;
    memset(&result.evidence, 0, sizeof result.evidence);
    result.verdict = verdict_without_run(CAUSE_ie_rejected_quota);
    result.started_ns = 0;
    body_of(&result, &body);
    check_text(body.data, body.len, &check);
    assert_true(!check.result.has_evidence && !check.no_evidence && holds(&check));
    result_check_done(&check);
    buf_clear(&body);
    result_body_open(&result.id, LANGUAGE_c, true, NS(0), 0, &body);
    check_text(body.data, body.len, &check);
    assert_true(check.open);
    result_check_done(&check);
}

static void unreadable(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{",
        "{}",
        "{\"verdict\":\"AC\"}",
        "{\"id\":1,\"id\":2}",
        "{\"error\":\"not_found\",\"message\":\"there is nothing here\"}"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct result_check check;
        struct err err;
        assert_err(result_check(span_text(texts[i]), &check, &err), err, ERR_CORRUPT);
        result_check_done(&check);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_bodies_hold),
        cmocka_unit_test(other_prints_hold),
        cmocka_unit_test(every_altered_member_is_found),
        cmocka_unit_test(every_altered_member_of_a_case_is_found),
        cmocka_unit_test(a_body_with_cases_is_not_cut),
        cmocka_unit_test(totals_are_sums),
        cmocka_unit_test(a_digest_of_form_1_holds),
        cmocka_unit_test(another_verdict_differs),
        cmocka_unit_test(without_a_run),
        cmocka_unit_test(unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
