/* schemas: the rules of a submission's body and of an Idempotency-Key. */
#include "lib/base/enc.h"
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

static void good_bodies(void **state)
{
    (void)state;
    struct submission sub;
    struct err err;
    char field[FIELD_NAME];
    assert_ok(submission_parse(SPAN_LIT("{\"language\":\"PY\",\"code\":\"print(1)\\n\"}"), &arena,
                               &sub, field, &err),
              err);
    assert_int_equal(sub.language, LANGUAGE_python);
    assert_int_equal(sub.profile, PROFILE_JUDGE);
    assert_true(span_is(sub.code, "print(1)\n"));
    assert_true(span_is(sub.stdin_data, ""));
    assert_ok(submission_parse(
                  SPAN_LIT(" {\"stdin\":\"\xc3\xbc\\ud83d\\ude00\\u0001\", \"profile\":\"agent\","
                           "\"code\":\"x\",\"language\":\"C++\"}\r\n"),
                  &arena, &sub, NULL, &err),
              err);
    assert_int_equal(sub.language, LANGUAGE_cpp);
    assert_int_equal(sub.profile, PROFILE_AGENT);
    assert_true(span_is(sub.stdin_data, "\xc3\xbc\xf0\x9f\x98\x80\x01"));
}

#define OK "\"language\":\"c\",\"code\":\"SECRET\""
#define FILE_AT(path) "{\"path\":\"" path "\",\"content\":\"SECRET\"}"
#define FILES(list) SPAN_LIT("{" OK ",\"files\":[" list "]}")
#define SLASHES "must not have an empty part, nor begin or end with a slash"
#define CHECKERS                                                                                   \
    "must be \"exact\", \"trimmed\", \"tokens\" or {\"float\": {\"abs\": A, \"rel\": R}}"
#define P50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
static const struct bad {
    struct span body;
    const char *field, *says; /* the exact message */
} bad[] = {
    {SPAN_LIT(""), "", "the body is empty: send a JSON object"},
    {SPAN_LIT("   "), "", "the body ends in the middle of its JSON"},
    {SPAN_LIT("null"), "", "the body must be a JSON object"},
    {SPAN_LIT("[]"), "", "the body must be a JSON object"},
    {SPAN_LIT("\"SECRET\""), "", "the body must be a JSON object"},
    {SPAN_LIT("17"), "", "the body must be a JSON object"},
    {SPAN_LIT("{}"), "code", "code: is required"},
    {SPAN_LIT("{\"code\":\"SECRET\"}"), "language", "language: is required"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":\"\"}"), "code",
     "code: must be 1 to 65536 bytes, got 0"},
    {SPAN_LIT("{" OK ",\"code\":\"SECRET\"}"), "code", "code: is there twice"},
    {SPAN_LIT("{" OK ",\"SECRET\":1,\"SECRET\":2}"), "", "the body has a duplicate key"},
    {SPAN_LIT("{" OK ",\"x\":{\"code\":1,\"code\":2}}"), "code", "code: is there twice"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":7}"), "code", "code: must be a string, got an integer"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":7.5}"), "code",
     "code: must be a string, got a real number"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":null}"), "code", "code: must be a string, got null"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":[\"SECRET\"]}"), "code",
     "code: must be a string, got an array"},
    {SPAN_LIT("{\"language\":true,\"code\":\"SECRET\"}"), "language",
     "language: must be a string, got a boolean"},
    {SPAN_LIT("{" OK ",\"stdin\":null}"), "stdin", "stdin: must be a string, got null"},
    {SPAN_LIT("{" OK ",\"profile\":\"root\"}"), "profile",
     "profile: must be \"judge\" or \"agent\""},
    {SPAN_LIT("{" OK ",\"profile\":\"\"}"), "profile", "profile: must be 1 to 32 bytes, got 0"},
    {SPAN_LIT("{\"language\":\"\",\"code\":\"SECRET\"}"), "language",
     "language: must be 1 to 32 bytes, got 0"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":\"SEC\\u0000RET\"}"), "code",
     "code: must not contain NUL"},
    {SPAN_LIT("{" OK ",\"stdin\":\"\\u0000\"}"), "stdin", "stdin: must not contain NUL"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":\"SEC\0RET\"}"), "", "the body has a NUL byte"},
    {SPAN_LIT("{" OK ",\"a\\u0000b\":1}"), "", "the body has a key with NUL"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":\"\xff\"}"), "", "the body is not well-formed UTF-8"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":\"\xed\xa0\x80\"}"), "",
     "the body is not well-formed UTF-8"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":\"\\ud800\"}"), "",
     "the body is not JSON (line 1, column 31)"},
    {SPAN_LIT("{\"language\":\"c\",\"code\":\"SECRET"), "",
     "the body ends in the middle of its JSON"},
    {SPAN_LIT("{" OK "} SECRET"), "", "the body goes on after its JSON object"},
    {SPAN_LIT("{" OK "}{}"), "", "the body goes on after its JSON object"},
    {SPAN_LIT("{" OK ",}"), "", "the body is not JSON (line 1, column 33)"},
    {SPAN_LIT("{" OK ",\"x\":1e999}"), "", "the body has a number that is out of range"},
    {SPAN_LIT("{" OK ",\"x\":99999999999999999999}"), "",
     "the body has a number that is out of range"},
    {SPAN_LIT("{" OK ",\"x\":NaN}"), "", "the body is not JSON (line 1, column 39)"},
    {SPAN_LIT("{" OK ",\"sourcecode\":\"SECRET\"}"), "sourcecode",
     "sourcecode: is not a field of this request"},
    {SPAN_LIT("{" OK ",\"\":\"SECRET\"}"), "", ": is not a field of this request"},
    {SPAN_LIT("{" OK ",\"a\\nb\":1}"), "a?b", "a?b: is not a field of this request"},
    {SPAN_LIT("{" OK ",\"webhook_secret\":\"SECRETSECRET\"}"), "webhook_secret",
     "webhook_secret: must come with webhook_url"},
    {SPAN_LIT("{" OK ",\"webhook_url\":\"\",\"webhook_secret\":\"SECRETSECRET\"}"), "webhook_url",
     "webhook_url: must be 1 to 2048 bytes, got 0"},
    {SPAN_LIT("{" OK ",\"webhook_url\":\"https://x\",\"webhook_secret\":\"SECRET\"}"),
     "webhook_secret", "webhook_secret: must have 8 to 256 characters"},
    {SPAN_LIT("{" OK ",\"webhook_url\":\"https://x\",\"webhook_secret\":\"whsec_SECRET\"}"),
     "webhook_secret", "webhook_secret: must be whsec_ and the base64 of 24 to 64 bytes"},
    /* cases */
    {SPAN_LIT("{" OK ",\"cases\":[]}"), "cases", "cases: must have at least one element"},
    {SPAN_LIT("{" OK ",\"cases\":{}}"), "cases", "cases: must be an array, got an object"},
    {SPAN_LIT("{" OK ",\"cases\":[7]}"), "cases[0]", "cases[0]: must be an object, got an integer"},
    {SPAN_LIT("{" OK ",\"cases\":[{},{\"input\":\"SECRET\"}]}"), "cases[1].input",
     "cases[1].input: is not a field of this request"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"stdin\":7}]}"), "cases[0].stdin",
     "cases[0].stdin: must be a string, got an integer"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"stdin\":\"\\u0000\"}]}"), "cases[0].stdin",
     "cases[0].stdin: must not contain NUL"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":null}]}"), "cases[0].expected_output",
     "cases[0].expected_output: must be a string, got null"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"name\":\"" P50 P50 "\"}]}"), "cases[0].name",
     "cases[0].name: must be 0 to 64 bytes, got 100"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"args\":[1]}]}"), "cases[0].args[0]",
     "cases[0].args[0]: must be a string, got an integer"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"checker\":\"exact\"}]}"), "cases[0].checker",
     "cases[0].checker: needs expected_output"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":\"\",\"checker\":\"float\"}]}"),
     "cases[0].checker", "cases[0].checker: " CHECKERS},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":\"\",\"checker\":\"SECRET\"}]}"),
     "cases[0].checker", "cases[0].checker: " CHECKERS},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":\"\",\"checker\":[]}]}"), "cases[0].checker",
     "cases[0].checker: " CHECKERS},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":\"\",\"checker\":{}}]}"), "cases[0].checker",
     "cases[0].checker: must be {\"float\": {\"abs\": A, \"rel\": R}} when it is an object"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":\"\",\"checker\":{\"exact\":{}}}]}"),
     "cases[0].checker.exact", "cases[0].checker.exact: is not a field of this request"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":\"\",\"checker\":{\"float\":1}}]}"),
     "cases[0].checker.float", "cases[0].checker.float: must be an object, got an integer"},
    {SPAN_LIT("{" OK ",\"cases\":[{\"expected_output\":\"\",\"checker\":{\"float\":{}}}]}"),
     "cases[0].checker.float", "cases[0].checker.float: must have abs, rel or both"},
    {SPAN_LIT("{" OK
              ",\"cases\":[{\"expected_output\":\"\",\"checker\":{\"float\":{\"eps\":1}}}]}"),
     "cases[0].checker.float.eps", "cases[0].checker.float.eps: is not a field of this request"},
    {SPAN_LIT("{" OK
              ",\"cases\":[{\"expected_output\":\"\",\"checker\":{\"float\":{\"abs\":-1}}}]}"),
     "cases[0].checker.float.abs", "cases[0].checker.float.abs: must be 0 to 1e9"},
    {SPAN_LIT("{" OK
              ",\"cases\":[{\"expected_output\":\"\",\"checker\":{\"float\":{\"rel\":\"1\"}}}]}"),
     "cases[0].checker.float.rel", "cases[0].checker.float.rel: must be a number, got a string"},
    {SPAN_LIT("{" OK ",\"cases\":[{}],\"stdin\":\"SECRET\"}"), "stdin",
     "stdin: is not allowed together with cases: each case has its own"},
    {SPAN_LIT("{" OK ",\"cases\":[{}],\"args\":[\"SECRET\"]}"), "args",
     "args: is not allowed together with cases: each case has its own"},
    {SPAN_LIT("{" OK ",\"stop_on_fail\":true}"), "stop_on_fail", "stop_on_fail: needs cases"},
    {SPAN_LIT("{" OK ",\"cases\":[{}],\"stop_on_fail\":\"yes\"}"), "stop_on_fail",
     "stop_on_fail: must be true or false, got a string"},
    /* args */
    {SPAN_LIT("{" OK ",\"args\":\"SECRET\"}"), "args", "args: must be an array, got a string"},
    {SPAN_LIT("{" OK ",\"args\":null}"), "args", "args: must be an array, got null"},
    {SPAN_LIT("{" OK ",\"args\":[\"SECRET\",7]}"), "args[1]",
     "args[1]: must be a string, got an integer"},
    {SPAN_LIT("{" OK ",\"args\":[\"\\u0000\"]}"), "args[0]", "args[0]: must not contain NUL"},
    /* files */
    {SPAN_LIT("{" OK ",\"files\":{}}"), "files", "files: must be an array, got an object"},
    {FILES("7"), "files[0]", "files[0]: must be an object, got an integer"},
    {FILES("{\"content\":\"SECRET\"}"), "files[0].path", "files[0].path: is required"},
    {FILES("{\"path\":\"a\"}"), "files[0]", "files[0]: must have either content or content_base64"},
    {FILES("{\"path\":\"a\",\"content\":\"\",\"content_base64\":\"\"}"), "files[0]",
     "files[0]: must have either content or content_base64"},
    {FILES("{\"path\":\"a\",\"content\":\"\",\"mode\":511}"), "files[0].mode",
     "files[0].mode: is not a field of this request"},
    {FILES("{\"path\":\"a\",\"path\":\"a\",\"content\":\"\"}"), "", "the body has a duplicate key"},
    {FILES("{\"path\":7,\"content\":\"\"}"), "files[0].path",
     "files[0].path: must be a string, got an integer"},
    {FILES("{\"path\":\"a\",\"content\":null}"), "files[0].content",
     "files[0].content: must be a string, got null"},
    {FILES("{\"path\":\"a\",\"content\":\"\\u0000\"}"), "files[0].content",
     "files[0].content: must not contain NUL"},
    {FILES("{\"path\":\"a\",\"content_base64\":\"SECRET\"}"), "files[0].content_base64",
     "files[0].content_base64: must be base64 (RFC 4648 part 4) with its padding and no spaces"},
    {FILES("{\"path\":\"a\",\"content_base64\":\"QQ= =\"}"), "files[0].content_base64",
     "files[0].content_base64: must be base64 (RFC 4648 part 4) with its padding and no spaces"},
    {FILES(FILE_AT("ok") "," FILE_AT("")), "files[1].path",
     "files[1].path: must be 1 to 200 bytes"},
    {FILES(FILE_AT(P50 "/" P50 "/" P50 "/" P50)), "files[0].path",
     "files[0].path: must be 1 to 200 bytes"},
    {FILES(FILE_AT("/etc/passwd")), "files[0].path", "files[0].path: " SLASHES},
    {FILES(FILE_AT("a/")), "files[0].path", "files[0].path: " SLASHES},
    {FILES(FILE_AT("a//b")), "files[0].path", "files[0].path: " SLASHES},
    {FILES(FILE_AT("..")), "files[0].path", "files[0].path: must not have a part . or .."},
    {FILES(FILE_AT("../a")), "files[0].path", "files[0].path: must not have a part . or .."},
    {FILES(FILE_AT("a/../../b")), "files[0].path", "files[0].path: must not have a part . or .."},
    {FILES(FILE_AT("./a")), "files[0].path", "files[0].path: must not have a part . or .."},
    {FILES(FILE_AT("a/b/.")), "files[0].path", "files[0].path: must not have a part . or .."},
    {FILES(FILE_AT("a\\n")), "files[0].path",
     "files[0].path: must not contain control characters or backslashes"},
    {FILES(FILE_AT("a\\\\b")), "files[0].path",
     "files[0].path: must not contain control characters or backslashes"},
    {FILES(FILE_AT("a\\u0000")), "files[0].path", "files[0].path: must not contain NUL"},
    {FILES(FILE_AT("a/b/c/d/e/f/g/h/i")), "files[0].path",
     "files[0].path: must have at most 8 parts"},
    {FILES(FILE_AT(P50 P50 "b")), "files[0].path",
     "files[0].path: must have parts of at most 100 bytes"},
    {FILES(FILE_AT("a") "," FILE_AT("b") "," FILE_AT("a")), "files[2].path",
     "files[2].path: is that of files[0] again"},
    {FILES(FILE_AT("a/b") "," FILE_AT("a")), "files[1].path",
     "files[1].path: would be a file and a directory, with files[0]"},
    {FILES(FILE_AT("a") "," FILE_AT("a/b/c")), "files[1].path",
     "files[1].path: would be a file and a directory, with files[0]"},
    {FILES(FILE_AT("main.c")), "files",
     "files: a path must not be, or lie in, main.c: c has that name itself"},
    {FILES(FILE_AT("main/x.h")), "files",
     "files: a path must not be, or lie in, main: c has that name itself"},
    /* labels */
    {SPAN_LIT("{" OK ",\"labels\":[]}"), "labels", "labels: must be an object, got an array"},
    {SPAN_LIT("{" OK ",\"labels\":{\"\":\"x\"}}"), "labels",
     "labels: a name must be 1 to 64 of A-Z a-z 0-9 . _ - /"},
    {SPAN_LIT("{" OK ",\"labels\":{\"SEC:RET\":\"x\"}}"), "labels",
     "labels: a name must be 1 to 64 of A-Z a-z 0-9 . _ - /"},
    {SPAN_LIT("{" OK ",\"labels\":{\"" P50 "aaaaaaaaaaaaaaa\":\"x\"}}"), "labels",
     "labels: a name must be 1 to 64 of A-Z a-z 0-9 . _ - /"},
    {SPAN_LIT("{" OK ",\"labels\":{\"k\":7}}"), "labels.k",
     "labels.k: must be a string, got an integer"},
    {SPAN_LIT("{" OK ",\"labels\":{\"k\":\"" P50 P50 P50 P50 P50 "SECRET!\"}}"), "labels.k",
     "labels.k: must be 0 to 256 bytes, got 257"},
    /* limits */
    {SPAN_LIT("{" OK ",\"limits\":[]}"), "limits", "limits: must be an object, got an array"},
    {SPAN_LIT("{" OK ",\"limits\":{\"cpu\":1}}"), "limits.cpu",
     "limits.cpu: is not a field of this request"},
    {SPAN_LIT("{" OK ",\"limits\":{\"open_files\":8}}"), "limits.open_files",
     "limits.open_files: is not a field of this request"},
    {SPAN_LIT("{" OK ",\"limits\":{\"cpu_ms\":\"5\"}}"), "limits.cpu_ms",
     "limits.cpu_ms: must be an integer, got a string"},
    {SPAN_LIT("{" OK ",\"limits\":{\"cpu_ms\":100.0}}"), "limits.cpu_ms",
     "limits.cpu_ms: must be an integer, got a real number"},
    {SPAN_LIT("{" OK ",\"limits\":{\"cpu_ms\":9}}"), "limits.cpu_ms",
     "limits.cpu_ms: must be at least 10"},
    {SPAN_LIT("{" OK ",\"limits\":{\"processes\":-1}}"), "limits.processes",
     "limits.processes: must be at least 1"},
    {SPAN_LIT("{" OK ",\"limits\":{\"output_bytes\":-1}}"), "limits.output_bytes",
     "limits.output_bytes: must be at least 0"},
    {SPAN_LIT("{" OK ",\"limits\":{\"cpu_ms\":8001}}"), "limits.cpu_ms",
     "limits.cpu_ms: must be at most 8000, the limit of c with profile judge"},
    {SPAN_LIT("{" OK ",\"limits\":{\"memory_bytes\":9223372036854775807}}"), "limits.memory_bytes",
     "limits.memory_bytes: must be at most 268435456, the limit of c with profile judge"},
};

static void bad_bodies_name_field_and_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct submission sub;
        struct err err = {.code = ERR_NONE};
        char field[FIELD_NAME] = "untouched";
        if (submission_parse(bad[i].body, &arena, &sub, field, &err) == 0)
            fail_msg("case %zu was taken: %s", i, (const char *)bad[i].body.data);
        if (err.code != ERR_INVALID || strcmp(field, bad[i].field) != 0 ||
            strcmp(err.message, bad[i].says) != 0)
            fail_msg("case %zu: %s: field \"%s\": \"%s\", expected field \"%s\": \"%s\"", i,
                     err_name(err.code), field, err.message, bad[i].field, bad[i].says);
        assert_null(strstr(err.message, "SECRET"));
        assert_int_equal(submission_api_error(&err, field),
                         field[0] ? API_ERROR_invalid_field : API_ERROR_invalid_json);
    }
}

static void languages_are_looked_at_last(void **state)
{
    (void)state;
    struct submission sub;
    struct err err;
    char field[FIELD_NAME];
    assert_err(submission_parse(SPAN_LIT("{\"language\":\"cobol\",\"code\":\"x\"}"), &arena, &sub,
                                field, &err),
               err, ERR_NOT_FOUND);
    assert_string_equal(field, "language");
    assert_int_equal(submission_api_error(&err, field), API_ERROR_unsupported_language);
    assert_null(strstr(err.message, "cobol"));
    assert_err(
        submission_parse(SPAN_LIT("{\"language\":\"cobol\",\"code\":\"x\",\"profile\":\"y\"}"),
                         &arena, &sub, field, &err),
        err, ERR_INVALID);
    assert_string_equal(field, "profile");
}

/* {"language":"c", NAME:"aaa..."} */
static void long_body(struct buf *out, const char *name, size_t len)
{
    buf_clear(out);
    buf_printf(out, "{\"language\":\"c\"%s,\"%s\":\"",
               strcmp(name, "code") ? ",\"code\":\"x\"" : "", name);
    char *room = buf_reserve(out, len);
    assert_non_null(room);
    memset(room, 'a', len);
    buf_grow(out, len);
    buf_puts(out, "\"}");
}

static void sizes(void **state)
{
    (void)state;
    struct submission sub;
    struct err err;
    char field[FIELD_NAME];
    BUF_AUTO struct buf body = {.max = 2 * BODY_BYTES_MAX};
    long_body(&body, "code", CODE_BYTES_MAX);
    assert_ok(submission_parse(buf_span(&body), &arena, &sub, field, &err), err);
    assert_int_equal(sub.code.len, CODE_BYTES_MAX);
    long_body(&body, "code", 70000);
    assert_err(submission_parse(buf_span(&body), &arena, &sub, field, &err), err, ERR_INVALID);
    assert_string_equal(err.message, "code: must be 1 to 65536 bytes, got 70000");
    assert_string_equal(field, "code");
    long_body(&body, "stdin", STDIN_BYTES_MAX);
    assert_ok(submission_parse(buf_span(&body), &arena, &sub, field, &err), err);
    long_body(&body, "stdin", STDIN_BYTES_MAX + 1);
    assert_err(submission_parse(buf_span(&body), &arena, &sub, field, &err), err, ERR_INVALID);
    assert_string_equal(err.message, "stdin: must be 0 to 262144 bytes, got 262145");
    long_body(&body, "stdin", BODY_BYTES_MAX);
    assert_err(submission_parse(buf_span(&body), &arena, &sub, field, &err), err, ERR_TOO_LARGE);
    assert_string_equal(field, "");
    assert_int_equal(submission_api_error(&err, field), API_ERROR_payload_too_large);
    long_body(&body, "a\xc3\xbc", 3); /* a long unknown name is cut at a character */
    buf_clear(&body);
    buf_puts(&body, "{\"");
    for (int i = 0; i < 40; i++)
        buf_puts(&body, "\xc3\xbc");
    buf_puts(&body, "\":1}");
    assert_err(submission_parse(buf_span(&body), &arena, &sub, field, &err), err, ERR_INVALID);
    assert_int_equal(strlen(field), 62);
    assert_true(utf8_valid(span_text(field)));
    struct arena small;
    arena_init(&small, 4096);
    long_body(&body, "code", CODE_BYTES_MAX);
    assert_err(submission_parse(buf_span(&body), &small, &sub, field, &err), err, ERR_NO_MEMORY);
    arena_done(&small);
}

static void nesting_is_counted_first(void **state)
{
    (void)state;
    struct submission sub;
    struct err err;
    char field[FIELD_NAME];
    BUF_AUTO struct buf body = {.max = BODY_BYTES_MAX};
    static const struct {
        size_t levels;
        const char *says;
    } cases[] = {{31, "x: is not a field of this request"},
                 {32, "the body is nested deeper than 32 levels"},
                 {500000, "the body is nested deeper than 32 levels"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_clear(&body);
        buf_puts(&body, "{\"x\":");
        for (size_t n = 0; n < cases[i].levels; n++)
            buf_add(&body, "[", 1);
        for (size_t n = 0; n < cases[i].levels; n++)
            buf_add(&body, "]", 1);
        buf_puts(&body, "}");
        assert_err(submission_parse(buf_span(&body), &arena, &sub, field, &err), err, ERR_INVALID);
        assert_string_equal(err.message, cases[i].says);
    }
    /* brackets inside strings do not count, whatever is escaped before them */
    buf_clear(&body);
    buf_puts(&body, "{\"language\":\"c\",\"code\":\"\\\\\\\"");
    for (int n = 0; n < 100; n++)
        buf_puts(&body, "[{");
    buf_puts(&body, "\"}");
    assert_ok(submission_parse(buf_span(&body), &arena, &sub, field, &err), err);
    assert_int_equal(sub.code.len, 202);
}

static void canonical_is_golden(void **state)
{
    (void)state;
    struct submission sub;
    struct err err;
    static const struct span same[] = {
        SPAN_LIT("{\"language\":\"py\",\"code\":\"print(\\\"\\u00fc\\\")\\n\"}"),
        SPAN_LIT(
            "{\"stdin\":\"\",\"profile\":\"judge\",\n\"code\":\"print(\\\"\xc3\xbc\\\")\\u000a\","
            "\"language\":\"PYTHON\"}"),
    };
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        BUF_AUTO struct buf out = {.max = 1000};
        assert_ok(submission_parse(same[i], &arena, &sub, NULL, &err), err);
        assert_ok(submission_canonical(&sub, &out, &err), err);
        assert_string_equal(buf_text(&out),
                            "{\"code\":\"print(\\\"\xc3\xbc\\\")\\n\",\"language\":\"python\","
                            "\"profile\":\"judge\",\"stdin\":\"\"}");
    }
}

static void idempotency_keys(void **state)
{
    (void)state;
    static const struct {
        struct span header;
        const char *key; /* NULL = refused */
    } cases[] = {
        {SPAN_LIT("abc"), "abc"},
        {SPAN_LIT("\"abc\""), "abc"},
        {SPAN_LIT(" \t abc \t"), "abc"},
        {SPAN_LIT("  \"a b\"  "), "a b"},
        {SPAN_LIT("\"a\\\"b\\\\c\""), "a\"b\\c"},
        {SPAN_LIT("a\"b\\c"), "a\"b\\c"}, /* bare: as it is */
        {SPAN_LIT("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f"},
        {SPAN_LIT("8e03978e-40d5-43e8-bc93-6894a57f9324"), "8e03978e-40d5-43e8-bc93-6894a57f9324"},
        {SPAN_LIT(""), NULL},
        {SPAN_LIT("  "), NULL},
        {SPAN_LIT("\"\""), NULL},
        {SPAN_LIT("\"abc"), NULL},
        {SPAN_LIT("\""), NULL},
        {SPAN_LIT("\"abc\"; a=1"), NULL},
        {SPAN_LIT("\"a\"b\""), NULL},
        {SPAN_LIT("\"a\\b\""), NULL},
        {SPAN_LIT("\"a\\"), NULL},
        {SPAN_LIT("a\x01"), NULL},
        {SPAN_LIT("a\tb"), NULL},
        {SPAN_LIT("a\x7f"), NULL},
        {SPAN_LIT("a\0b"), NULL},
        {SPAN_LIT("\xff"), NULL},
    };
    struct span key;
    struct err err;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (!cases[i].key) {
            assert_err(idempotency_key_parse(cases[i].header, &arena, &key, &err), err,
                       ERR_INVALID);
            assert_memory_equal(err.message, "Idempotency-Key: ", 17);
            continue;
        }
        assert_ok(idempotency_key_parse(cases[i].header, &arena, &key, &err), err);
        assert_true(span_is(key, cases[i].key));
    }
    char text[2000];
    memset(text, 'k', sizeof text);
    assert_ok(idempotency_key_parse(span_of(text, 255), &arena, &key, &err), err);
    assert_int_equal(key.len, 255);
    assert_err(idempotency_key_parse(span_of(text, 256), &arena, &key, &err), err, ERR_INVALID);
    assert_err(idempotency_key_parse(span_of(text, 2000), &arena, &key, &err), err, ERR_INVALID);
    for (size_t i = 0; i < 510; i += 2) /* 255 characters of two bytes */
        memcpy(text + i, "\xc3\xbc", 2);
    assert_ok(idempotency_key_parse(span_of(text, 510), &arena, &key, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies),
        cmocka_unit_test(bad_bodies_name_field_and_rule),
        cmocka_unit_test(languages_are_looked_at_last),
        cmocka_unit_test(sizes),
        cmocka_unit_test(nesting_is_counted_first),
        cmocka_unit_test(canonical_is_golden),
        cmocka_unit_test(idempotency_keys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
