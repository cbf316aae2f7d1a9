/* schemas: a submission's further fields, and what of it travels sealed. */
#include "lib/base/enc.h"
#include "schemas/payload.h"
#include "schemas/submission.h"
#include "tests/unit/unit.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 4 * SUBMISSION_ARENA_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

#define OK "\"language\":\"c\",\"code\":\"SECRET\""
#define RICH                                                                                       \
    "{\"language\":\"js\",\"code\":\"x\",\"args\":[\"\",\"a "                                      \
    "b\"],\"files\":[{\"path\":\"b/c\",\"content\":"                                               \
    "\"\xc3\xbc\"},{\"path\":\"a\",\"content_base64\":\"AP8=\"}],\"labels\":{\"z\":\"\",\"k\":"    \
    "\"v:w\"},"                                                                                    \
    "\"limits\":{\"output_bytes\":0,\"cpu_ms\":8000,\"wall_ms\":50}}"
static void further_fields(void **state)
{
    (void)state;
    struct submission sub, back;
    struct err err;
    BUF_AUTO struct buf out = {.max = 10000}, again = {.max = 10000}, packed = {.max = 10000};
    assert_ok(submission_parse(SPAN_LIT(RICH), &arena, &sub, NULL, &err), err);
    assert_int_equal(sub.arg_count, 2);
    assert_int_equal(sub.args[0].len, 0);
    assert_true(span_is(sub.args[1], "a b"));
    assert_int_equal(sub.file_count, 2);
    assert_true(span_is(sub.files[0].path, "a"));
    assert_true(span_eq(sub.files[0].content, SPAN_LIT("\0\xff")));
    assert_true(span_is(sub.files[1].content, "\xc3\xbc"));
    assert_int_equal(sub.label_count, 2);
    assert_true(span_is(sub.labels[0].name, "k") && span_is(sub.labels[0].value, "v:w"));
    struct limits limits = submission_limits(&sub), own = limits_run(sub.language, sub.profile);
    assert_int_equal(limits.output_bytes, 0);
    assert_int_equal(limits.wall_ms, 50);
    own.output_bytes = 0;
    own.wall_ms = 50;
    assert_memory_equal(&limits, &own, sizeof own);
    assert_ok(submission_canonical(&sub, &out, &err), err);
    assert_string_equal(
        buf_text(&out),
        "{\"args\":[\"\",\"a b\"],\"code\":\"x\",\"files\":[{\"content_base64\":\"AP8=\","
        "\"path\":\"a\"},{\"content_base64\":\"w7w=\",\"path\":\"b/c\"}],\"labels\":{\"k\":"
        "\"v:w\",\"z\":\"\"},\"language\":\"javascript\",\"limits\":{\"wall_ms\":50,"
        "\"output_bytes\":0},\"profile\":\"judge\",\"stdin\":\"\"}");
    assert_ok(submission_pack(&sub, &packed, &err), err);
    assert_ok(submission_unpack(buf_span(&packed), &arena, &back, &err), err);
    assert_ok(submission_canonical(&back, &again, &err), err);
    assert_string_equal(buf_text(&again), buf_text(&out));
}

#define CASES                                                                                      \
    "{\"language\":\"c\",\"code\":\"x\",\"stdin\":\"\",\"args\":[],\"cases\":[{\"checker\":"       \
    "\"trimmed\","                                                                                 \
    "\"expected_output\":\"\",\"name\":\"\",\"args\":[]},{\"stdin\":\"i\xc3\xbc\",\"args\":["      \
    "\"a\"],\"name\":\"n\","                                                                       \
    "\"expected_output\":\"o\",\"checker\":\"tokens\"},{},{\"expected_output\":\"p\",\"checker\":" \
    "{"                                                                                            \
    "\"float\":{\"rel\":1e-06}}}],\"stop_on_fail\":true}"
static void cases_are_packed_and_canonical(void **state)
{
    (void)state;
    struct submission sub, back;
    struct err err;
    BUF_AUTO struct buf out = {.max = 10000}, again = {.max = 10000}, packed = {.max = 10000};
    assert_ok(submission_parse(SPAN_LIT(CASES), &arena, &sub, NULL, &err), err);
    assert_int_equal(sub.case_count, 4);
    assert_true(sub.cases[0].has_expected && sub.cases[0].checker.kind == CHECKER_TRIMMED);
    assert_true(!sub.cases[2].has_expected && sub.stop_on_fail);
    assert_true(sub.cases[3].checker.kind == CHECKER_FLOAT && sub.cases[3].checker.rel == 1e-6);
    assert_ok(submission_canonical(&sub, &out, &err), err);
    assert_string_equal(
        buf_text(&out),
        "{\"cases\":[{\"expected_output\":\"\"},{\"args\":[\"a\"],\"checker\":\"tokens\","
        "\"expected_output\":\"o\",\"name\":\"n\",\"stdin\":\"i\xc3\xbc\"},{},{\"checker\":{"
        "\"float\":{"
        "\"abs\":0,\"rel\":9.9999999999999995e-07}},\"expected_output\":\"p\"}],\"code\":\"x\","
        "\"language\":\"c\",\"profile\":\"judge\",\"stdin\":\"\",\"stop_on_fail\":true}");
    assert_ok(submission_pack(&sub, &packed, &err), err);
    assert_ok(submission_unpack(buf_span(&packed), &arena, &back, &err), err);
    assert_ok(submission_canonical(&back, &again, &err), err);
    assert_string_equal(buf_text(&again), buf_text(&out));
    assert_ok(submission_parse(buf_span(&out), &arena, &back, NULL, &err), err);
}

/* A thousand cases of a body's size go into a record and come back; one more is too many. */
static void as_many_cases_as_there_may_be(void **state)
{
    (void)state;
    struct submission sub, back;
    struct err err;
    BUF_AUTO struct buf body = {.max = BODY_BYTES_MAX}, packed = {.max = 4 * BODY_BYTES_MAX};
    for (int count = CASES_MAX; count <= CASES_MAX + 1; count++) {
        buf_clear(&body);
        buf_puts(&body, "{" OK ",\"cases\":[");
        for (int i = 0; i < count; i++) {
            buf_printf(&body, "%s{\"name\":\"\\u0001%d\",\"args\":[", i ? "," : "", i);
            for (int n = 0; n < 60; n++)
                buf_puts(&body, n ? ",\"\\u0001\"" : "\"\\u0001\"");
            buf_puts(&body, "],\"stdin\":\"\\u0001\",\"expected_output\":\"\\u0001\"}");
        }
        buf_puts(&body, "]}");
        assert_false(body.failed);
        if (count > CASES_MAX) {
            assert_err(submission_parse(buf_span(&body), &arena, &sub, NULL, &err), err,
                       ERR_INVALID);
            continue;
        }
        assert_ok(submission_parse(buf_span(&body), &arena, &sub, NULL, &err), err);
        assert_ok(submission_pack(&sub, &packed, &err), err);
        assert_ok(submission_unpack(buf_span(&packed), &arena, &back, &err), err);
        assert_int_equal(back.case_count, CASES_MAX);
        assert_int_equal(back.cases[999].arg_count, 60);
        assert_true(span_is(back.cases[999].expected, "\x01"));
    }
    arena_reset(&arena);
}

/* Counts and sums, each at its bound and one beyond. */
static void bounds_of_further_fields(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *each, *end;
        int most;
        const char *says;
    } rows[] = {
        {",\"args\":[\"\"", ",\"\"", "]", 64, "args: must have at most 64 elements, got 65"},
        {",\"labels\":{\"x\":\"\"", ",\"x%d\":\"\"", "}", 16, "labels: must be at most 16, got 17"},
        {",\"files\":[{\"path\":\"x\",\"content\":\"\"}", ",{\"path\":\"x%d\",\"content\":\"\"}",
         "]", 64, "files: must have at most 64 elements, got 65"},
    };
    struct submission sub;
    struct err err;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int beyond = 0; beyond < 2; beyond++) {
            BUF_AUTO struct buf body = {.max = 100000};
            buf_printf(&body, "{" OK "%s", rows[i].begin);
            for (int n = 1; n < rows[i].most + beyond; n++) {
                char text[100];
                const char *percent = strstr(rows[i].each, "%d");
                int head = percent ? (int)(percent - rows[i].each) : 0;
                snprintf(text, sizeof text, "%.*s%d%s", head, rows[i].each, n,
                         percent ? percent + 2 : "");
                buf_puts(&body, percent ? text : rows[i].each);
            }
            buf_printf(&body, "%s}", rows[i].end);
            if (!beyond) {
                assert_ok(submission_parse(buf_span(&body), &arena, &sub, NULL, &err), err);
                continue;
            }
            assert_err(submission_parse(buf_span(&body), &arena, &sub, NULL, &err), err,
                       ERR_INVALID);
            assert_string_equal(err.message, rows[i].says);
        }
    for (int beyond = 0; beyond < 2; beyond++) {
        BUF_AUTO struct buf body = {.max = BODY_BYTES_MAX};
        buf_puts(&body, "{" OK ",\"args\":[\"");
        for (int n = 0; n < GIVEN_ARGS_BYTES - 2 + beyond; n++)
            buf_puts(&body, "a");
        buf_puts(&body, "\",\"\"],\"files\":[{\"path\":\"x\",\"content\":\"");
        for (int n = 0; n < GIVEN_FILES_BYTES - 6; n++)
            buf_puts(&body, "a");
        buf_puts(&body, "\"},{\"path\":\"y\",\"content\":\"SECRET\"}]}");
        if (!beyond) {
            assert_ok(submission_parse(buf_span(&body), &arena, &sub, NULL, &err), err);
            continue;
        }
        assert_err(submission_parse(buf_span(&body), &arena, &sub, NULL, &err), err, ERR_INVALID);
        assert_string_equal(err.message, "args: must be at most 4096 bytes in all, each counted "
                                         "with its NUL, got 4097");
    }
    BUF_AUTO struct buf body = {.max = BODY_BYTES_MAX};
    buf_puts(&body, "{" OK ",\"files\":[{\"path\":\"x\",\"content\":\"");
    for (int n = 0; n < GIVEN_FILES_BYTES; n++)
        buf_puts(&body, "a");
    buf_puts(&body, "\"},{\"path\":\"y\",\"content_base64\":\"AA==\"}]}");
    assert_err(submission_parse(buf_span(&body), &arena, &sub, NULL, &err), err, ERR_INVALID);
    assert_string_equal(err.message, "files: must be at most 262144 bytes in all, got 262145");
}

/* What a producer that bypasses the gateway could seal: every rule again. */
static void sealed_further_rubbish(void **state)
{
    (void)state;
    static const struct {
        struct span meta;
        size_t files;
        const char *says;
        const char *cases;
    } rows[] = {
#define META(more) SPAN_LIT("{" more ",\"language\":\"c\",\"profile\":\"judge\"}")
        {META("\"files\":[\"../a\"]"), 1, "files[0].path: must not have a part . or ..", NULL},
        {META("\"files\":[\"a\",\"a\"]"), 2, "files[1].path: is that of files[0] again", NULL},
        {META("\"files\":[\"main\"]"), 1,
         "files: a path must not be, or lie in, main: c has that name itself", NULL},
        {META("\"files\":[\"a\"]"), 2, "files: 1 paths and 2 contents", NULL},
        {META("\"files\":[\"a\"]"), 0, "files: 1 paths and 0 contents", NULL},
        {META("\"args\":[7]"), 0, "args[0]: must be a string, got an integer", NULL},
        {META("\"labels\":{\" \":\"\"}"), 0,
         "labels: a name must be 1 to 64 of A-Z a-z 0-9 . _ - /", NULL},
        {META("\"limits\":{\"cpu_ms\":8001}"), 0,
         "limits.cpu_ms: must be at most 8000, the limit of c with profile judge", NULL},
        {META("\"cases\":[{\"stdin\":3}]"), 0, "cases[0].stdin: is not in the payload", "ab"},
        {META("\"cases\":[{\"stdin\":-1}]"), 0, "cases[0].stdin: is not in the payload", "ab"},
        {META("\"cases\":[{\"stdin\":\"ab\"}]"), 0, "cases[0].stdin: is not in the payload", "ab"},
        {META("\"cases\":[{\"stdin\":1}]"), 0, "cases: leave 1 bytes of the payload over", "ab"},
        {META("\"cases\":[{\"expected_output\":1}]"), 0,
         "cases[0].expected_output: must be well-formed UTF-8", "\xff"},
        {META("\"cases\":[]"), 0, "cases: must have at least one element", ""},
        {META("\"args\":[]"), 0, "cases: leave 2 bytes of the payload over", "ab"},
#undef META
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct payload payload = {.meta = rows[i].meta, .sections = 2 + rows[i].files};
        payload.section[0].kind = SECTION_CODE;
        payload.section[0].bytes = SPAN_LIT("x");
        payload.section[1].kind = SECTION_STDIN;
        for (size_t n = 0; n < rows[i].files; n++)
            payload.section[2 + n].kind = SECTION_FILE;
        if (rows[i].cases) {
            payload.section[payload.sections].kind = SECTION_CASES;
            payload.section[payload.sections++].bytes = span_text(rows[i].cases);
        }
        BUF_AUTO struct buf out = {.max = 1000};
        struct submission back;
        struct err err;
        assert_ok(payload_pack(&payload, &out, &err), err);
        assert_err(submission_unpack(buf_span(&out), &arena, &back, &err), err, ERR_INVALID);
        assert_string_equal(err.message, rows[i].says);
    }
}

static void label_filters(void **state)
{
    (void)state;
    struct label label, other = {SPAN_LIT("a"), SPAN_LIT("b\nc")};
    uint8_t one[LABEL_HASH_BYTES], two[LABEL_HASH_BYTES];
    assert_int_equal(label_parse(SPAN_LIT("a/b:c:d"), &label), 0);
    assert_true(span_is(label.name, "a/b") && span_is(label.value, "c:d"));
    assert_int_equal(label_parse(SPAN_LIT("a:"), &label), 0);
    assert_int_equal(label_parse(SPAN_LIT(""), &label), -1);
    assert_int_equal(label_parse(SPAN_LIT("a"), &label), -1);
    assert_int_equal(label_parse(SPAN_LIT(":a"), &label), -1);
    assert_int_equal(label_parse(SPAN_LIT("a b:c"), &label), -1);
    /* a name has no newline, so no two labels are one text */
    label_hash(SPAN_LIT("k"), &other, one);
    other.value = SPAN_LIT("b\nd");
    label_hash(SPAN_LIT("k"), &other, two);
    assert_memory_not_equal(one, two, sizeof one);
    label_hash(SPAN_LIT("l"), &other, one);
    assert_memory_not_equal(one, two, sizeof one);
}

static void payloads_return(void **state)
{
    (void)state;
    struct submission sub = {.language = LANGUAGE_rust,
                             .profile = PROFILE_AGENT,
                             .code = SPAN_LIT("fn main() {}"),
                             .stdin_data = SPAN_LIT("in\n")},
                      back;
    struct err err;
    BUF_AUTO struct buf out = {.max = 1000};
    assert_ok(submission_pack(&sub, &out, &err), err);
    static const char golden[] = "RBP1\x25\0\0\0\x02\0\0\0\x01\x0c\0\0\0\x02\x03\0\0\0"
                                 "{\"language\":\"rust\",\"profile\":\"agent\"}fn main() {}in\n";
    assert_int_equal(out.len, sizeof golden - 1);
    assert_memory_equal(out.data, golden, sizeof golden - 1);
    assert_ok(submission_unpack(buf_span(&out), &arena, &back, &err), err);
    assert_int_equal(back.language, LANGUAGE_rust);
    assert_int_equal(back.profile, PROFILE_AGENT);
    assert_true(span_eq(back.code, sub.code));
    assert_true(span_eq(back.stdin_data, sub.stdin_data));
    assert_null(back.webhook_url.data);
}

/* They travel in the payload and count in the fingerprint. */
static void webhooks_travel_along(void **state)
{
    (void)state;
    struct submission sub, back;
    struct err err;
    BUF_AUTO struct buf out = {.max = 10000}, text = {.max = 10000};
    assert_ok(submission_parse(SPAN_LIT("{\"language\":\"c\",\"code\":\"x\",\"webhook_url\":"
                                        "\"https://a.example/\",\"webhook_secret\":\"12345678\"}"),
                               &arena, &sub, NULL, &err),
              err);
    assert_ok(submission_pack(&sub, &out, &err), err);
    assert_ok(submission_unpack(buf_span(&out), &arena, &back, &err), err);
    assert_true(span_is(back.webhook_url, "https://a.example/"));
    assert_true(span_is(back.webhook_secret, "12345678"));
    assert_ok(submission_canonical(&back, &text, &err), err);
    assert_string_equal(buf_text(&text),
                        "{\"code\":\"x\",\"language\":\"c\",\"profile\":\"judge\",\"stdin\":\"\","
                        "\"webhook_secret\":\"12345678\",\"webhook_url\":\"https://a.example/\"}");
}

/* A client of v1 may leave the secret out: the result is told unsigned. */
static void a_webhook_needs_no_secret(void **state)
{
    (void)state;
    struct submission sub, back;
    struct err err;
    BUF_AUTO struct buf out = {.max = 10000}, text = {.max = 10000};
    assert_ok(submission_parse(SPAN_LIT("{\"language\":\"c\",\"code\":\"x\",\"webhook_url\":"
                                        "\"https://a.example/\"}"),
                               &arena, &sub, NULL, &err),
              err);
    assert_ok(submission_pack(&sub, &out, &err), err);
    assert_ok(submission_unpack(buf_span(&out), &arena, &back, &err), err);
    assert_true(span_is(back.webhook_url, "https://a.example/"));
    assert_null(back.webhook_secret.data);
    assert_ok(submission_canonical(&back, &text, &err), err);
    assert_string_equal(buf_text(&text),
                        "{\"code\":\"x\",\"language\":\"c\",\"profile\":\"judge\",\"stdin\":\"\","
                        "\"webhook_url\":\"https://a.example/\"}");
}

/* What a producer that bypasses the gateway could seal. */
static void sealed_rubbish_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct span meta, code;
        enum section second;
        enum err_code code_wanted;
        const char *says;
    } cases[] = {
        {SPAN_LIT("{\"language\":\"c\",\"profile\":\"judge\"}"), SPAN_LIT(""), SECTION_STDIN,
         ERR_INVALID, "code: must be 1 to 65536 bytes, got 0"},
        {SPAN_LIT("{\"language\":\"c\",\"profile\":\"judge\"}"), SPAN_LIT("a\0b"), SECTION_STDIN,
         ERR_INVALID, "code: must not contain NUL"},
        {SPAN_LIT("{\"language\":\"c\",\"profile\":\"judge\"}"), SPAN_LIT("\xff"), SECTION_STDIN,
         ERR_INVALID, "code: must be well-formed UTF-8"},
        {SPAN_LIT("{\"language\":\"c\",\"profile\":\"judge\"}"), SPAN_LIT("x"), SECTION_FILE,
         ERR_INVALID, "payload: section 1 is neither code, stdin nor file"},
        {SPAN_LIT("{\"language\":\"cobol\",\"profile\":\"judge\"}"), SPAN_LIT("x"), SECTION_STDIN,
         ERR_NOT_FOUND, NULL},
        {SPAN_LIT("{\"language\":\"c\"}"), SPAN_LIT("x"), SECTION_STDIN, ERR_INVALID,
         "payload metadata: profile: is required"},
        {SPAN_LIT("{\"language\":\"c\",\"profile\":\"judge\",\"root\":1}"), SPAN_LIT("x"),
         SECTION_STDIN, ERR_INVALID, "payload metadata: root: is not a field of this request"},
        {SPAN_LIT("{\"language\":\"c\",\"language\":\"c\",\"profile\":\"judge\"}"), SPAN_LIT("x"),
         SECTION_STDIN, ERR_INVALID, "payload metadata: language: is there twice"},
        {SPAN_LIT(""), SPAN_LIT("x"), SECTION_STDIN, ERR_INVALID, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct payload payload = {.meta = cases[i].meta, .sections = 2};
        payload.section[0].kind = SECTION_CODE;
        payload.section[0].bytes = cases[i].code;
        payload.section[1].kind = cases[i].second;
        BUF_AUTO struct buf out = {.max = 1000};
        struct submission back;
        struct err err;
        assert_ok(payload_pack(&payload, &out, &err), err);
        assert_err(submission_unpack(buf_span(&out), &arena, &back, &err), err,
                   cases[i].code_wanted);
        if (cases[i].says)
            assert_string_equal(err.message, cases[i].says);
    }
    struct submission back;
    struct err err;
    assert_err(submission_unpack(SPAN_LIT("rubbish"), &arena, &back, &err), err, ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(further_fields),
        cmocka_unit_test(bounds_of_further_fields),
        cmocka_unit_test(cases_are_packed_and_canonical),
        cmocka_unit_test(as_many_cases_as_there_may_be),
        cmocka_unit_test(sealed_further_rubbish),
        cmocka_unit_test(label_filters),
        cmocka_unit_test(payloads_return),
        cmocka_unit_test(webhooks_travel_along),
        cmocka_unit_test(a_webhook_needs_no_secret),
        cmocka_unit_test(sealed_rubbish_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
