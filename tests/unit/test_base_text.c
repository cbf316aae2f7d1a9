/* lib/base: spans, hex, base64, UTF-8, JSON strings. */
#include "lib/base/enc.h"
#include "tests/unit/unit.h"

static void spans(void **state)
{
    (void)state;
    char out[4] = "zzz";
    assert_int_equal(span_copy(SPAN_LIT("abc"), out, sizeof out), 0);
    assert_string_equal(out, "abc");
    assert_int_equal(span_copy(SPAN_LIT("abcd"), out, sizeof out), -1);
    assert_string_equal(out, "");
    assert_int_equal(span_copy(SPAN_LIT("a\0b"), out, sizeof out), -1);
    assert_int_equal(span_copy(span_of(NULL, 0), out, sizeof out), 0);
    assert_true(span_eq(span_of(NULL, 0), SPAN_LIT("")));
    assert_true(span_is(SPAN_LIT("abc"), "abc"));
    assert_false(span_is(SPAN_LIT("abc"), "ab"));
}

static void numbers(void **state)
{
    (void)state;
    uint64_t value = 5;
    assert_int_equal(span_u64(SPAN_LIT("18446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    value = 5;
    static const char *const wrong[] = {"",    "18446744073709551616",   "-1", "+1", " 1", "1 ",
                                        "0x1", "99999999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(span_u64(span_text(wrong[i]), &value), -1);
    assert_int_equal(value, 5);
    assert_int_equal(span_u64(SPAN_LIT("0"), &value), 0);
    assert_int_equal(value, 0);
}

static void hex(void **state)
{
    (void)state;
    char text[HEX_SIZE(3)];
    uint8_t bytes[3] = {0};
    hex_encode("\x00\x9f\xff", 3, text);
    assert_string_equal(text, "009fff");
    assert_int_equal(hex_decode(SPAN_LIT("009FfF"), bytes, 3), 0);
    assert_memory_equal(bytes, "\x00\x9f\xff", 3);
    assert_int_equal(hex_decode(SPAN_LIT("0102"), bytes, 3), -1);
    assert_int_equal(hex_decode(SPAN_LIT("0102g3"), bytes, 3), -1);
    assert_memory_equal(bytes, "\x00\x9f\xff", 3); /* untouched */
}

static void base64(void **state)
{
    (void)state;
    /* RFC 4648 part 10 */
    static const char *const known[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    char text[BASE64_SIZE(6)];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        base64_encode(known[i][0], strlen(known[i][0]), text);
        assert_string_equal(text, known[i][1]);
        uint8_t bytes[6];
        size_t len = sizeof bytes;
        assert_int_equal(base64_decode(span_text(text), bytes, &len), 0);
        assert_int_equal(len, strlen(known[i][0]));
        if (len > 0)
            assert_memory_equal(bytes, known[i][0], len);
    }
    static const char *const wrong[] = {"Zg",       "Zg=",    "Zh==", "Zm9=", "Z===",        "====",
                                        "Zg==Zg==", "Zm9v\n", " Zm9", "Zm-_", "Zm9vYmFyYmFy"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        uint8_t bytes[6];
        size_t len = sizeof bytes;
        assert_int_equal(base64_decode(span_text(wrong[i]), bytes, &len), -1);
        assert_int_equal(len, sizeof bytes);
    }
}

static void utf8(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        const char *scrubbed; /* NULL: well-formed */
    } cases[] = {
        {SPAN_LIT("plain ascii, longer than a word"), NULL},
        {SPAN_LIT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"), NULL},
        {SPAN_LIT("\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80"), NULL},
        {SPAN_LIT("\xc0\x80"), "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
        {SPAN_LIT("\xe0\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {SPAN_LIT("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
        {SPAN_LIT("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {SPAN_LIT("a\xf0\x9f\x98z"), "a\xef\xbf\xbdz"}, /* cut: one maximal subpart */
        {SPAN_LIT("12345678\xff"), "12345678\xef\xbf\xbd"},
        {SPAN_LIT("\xe2\x82"), "\xef\xbf\xbd"},
        {SPAN_LIT("\x80"), "\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        BUF_AUTO struct buf out = {.max = 100};
        assert_int_equal(utf8_valid(cases[i].in), cases[i].scrubbed == NULL);
        assert_int_equal(utf8_scrub(cases[i].in, &out), cases[i].scrubbed != NULL);
        if (cases[i].scrubbed)
            assert_string_equal(buf_text(&out), cases[i].scrubbed);
        else
            assert_true(span_eq(buf_span(&out), cases[i].in));
        assert_true(utf8_valid(buf_span(&out)));
    }
    assert_true(utf8_valid(SPAN_LIT("a\0b")));
    BUF_AUTO struct buf out = {.max = 100};
    assert_true(utf8_scrub(SPAN_LIT("a\0b"), &out));
    assert_string_equal(buf_text(&out), "a\xef\xbf\xbd"
                                        "b");
}

static void json_strings(void **state)
{
    (void)state;
    BUF_AUTO struct buf out = {.max = 100};
    json_quote(SPAN_LIT("a\"b\\c\n\t\r\x01\x1f\x7f/\xc3\xbc"), &out);
    assert_string_equal(buf_text(&out), "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u001f\x7f/\xc3\xbc\"");
    buf_clear(&out);
    json_quote(span_of(NULL, 0), &out);
    assert_string_equal(buf_text(&out), "\"\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans),  cmocka_unit_test(numbers), cmocka_unit_test(hex),
        cmocka_unit_test(base64), cmocka_unit_test(utf8),    cmocka_unit_test(json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
