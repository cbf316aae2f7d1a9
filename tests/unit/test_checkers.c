/* schemas/checkers: tables of pairs for each checker, laws that hold for any texts, and time that
 * grows no faster than the texts. */
#include "lib/base/clock.h"
#include "lib/base/rnd.h"
#include "schemas/checkers.h"
#include "tests/unit/unit.h"

static bool accepts(enum checker_kind kind, double abs, double rel, struct span expected,
                    struct span got)
{
    const struct checker checker = {kind, abs, rel};
    return checker_accepts(&checker, expected, got);
}

/* e, m, k: what exact, trimmed and tokens say. */
static const struct {
    struct span expected, got;
    bool e, m, k;
} texts[] = {
    {SPAN_LIT(""), SPAN_LIT(""), true, true, true},
    {SPAN_LIT("a"), SPAN_LIT("a"), true, true, true},
    {SPAN_LIT("a"), SPAN_LIT("b"), false, false, false},
    {SPAN_LIT("a"), SPAN_LIT("A"), false, false, false},
    {SPAN_LIT("a\n"), SPAN_LIT("a"), false, true, true},
    {SPAN_LIT("a"), SPAN_LIT("a\n\n \t\n"), false, true, true},
    {SPAN_LIT("a  \nb"), SPAN_LIT("a\nb\t\r\n"), false, true, true},
    {SPAN_LIT("a\r\nb\r\n"), SPAN_LIT("a\nb\n"), false, true, true},
    {SPAN_LIT("a\nb"), SPAN_LIT("a b"), false, false, true},
    {SPAN_LIT("a b"), SPAN_LIT("a  b"), false, false, true},
    {SPAN_LIT("a"), SPAN_LIT(" a"), false, false, true},
    {SPAN_LIT("a"), SPAN_LIT("\na"), false, false, true},
    {SPAN_LIT("a\n\nb"), SPAN_LIT("a\nb"), false, false, true},
    {SPAN_LIT(""), SPAN_LIT(" \n"), false, true, true},
    {SPAN_LIT(""), SPAN_LIT("x"), false, false, false},
    {SPAN_LIT("x"), SPAN_LIT(""), false, false, false},
    {SPAN_LIT("a b"), SPAN_LIT("ab"), false, false, false},
    {SPAN_LIT("a b"), SPAN_LIT("a"), false, false, false},
    {SPAN_LIT("a"), SPAN_LIT("a b"), false, false, false},
    {SPAN_LIT("a\nb"), SPAN_LIT("a"), false, false, false},
    {SPAN_LIT("a"), SPAN_LIT("a\nb"), false, false, false},
    {SPAN_LIT("a\0b"), SPAN_LIT("a\0b"), true, true, true},
    {SPAN_LIT("a\0b"), SPAN_LIT("a\0c"), false, false, false},
    {SPAN_LIT("a\0"), SPAN_LIT("a"), false, false, false},
    {SPAN_LIT("\xff"), SPAN_LIT("\xff\n"), false, true, true},
    {SPAN_LIT("\xc2\xa0"), SPAN_LIT(""), false, false, false}, /* no space but ASCII's */
    {SPAN_LIT("a\v\f"), SPAN_LIT("a"), false, true, true},
    {SPAN_LIT("1.0"), SPAN_LIT("1.00"), false, false, false},
};

static void texts_by_checker(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        for (int swap = 0; swap < 2; swap++) {
            struct span a = swap ? texts[i].got : texts[i].expected;
            struct span b = swap ? texts[i].expected : texts[i].got;
            if (accepts(CHECKER_EXACT, 0, 0, a, b) != texts[i].e ||
                accepts(CHECKER_TRIMMED, 0, 0, a, b) != texts[i].m ||
                accepts(CHECKER_TOKENS, 0, 0, a, b) != texts[i].k)
                fail_msg("row %zu", i);
        }
}

static const struct {
    const char *expected, *got;
    double abs, rel;
    bool yes;
} numbers[] = {
    {"1", "1", 0, 0, true},
    {"1", "1.0", 0, 0, true},
    {"1", "+1e0", 0, 0, true},
    {"1", "01.", 0, 0, true},
    {"0.5", ".5", 0, 0, true},
    {"1", "1.0001", 1e-3, 0, true},
    {"1", "1.01", 1e-3, 0, false},
    {"1000", "1001", 0, 1e-3, true},
    {"1000", "1002", 0, 1e-3, false},
    {"-1000", "-1001", 0, 1e-3, true},
    {"-1", "1", 1.9, 0, false},
    {"-1", "1", 2, 0, true},
    {"0", "1e-9", 0, 1e-3, false}, /* relative to the expected one */
    {"0", "1e-9", 1e-9, 0, true},
    {"0", "-0", 0, 0, true},
    {"100", "101", 0.5, 0.1, true}, /* either suffices */
    {"nan", "NaN", 0, 0, true},
    {"nan", "-nan", 0, 0, true},
    {"nan", "1", 1e9, 1e9, false},
    {"1", "nan", 1e9, 1e9, false},
    {"inf", "Infinity", 0, 0, true},
    {"inf", "+INF", 0, 0, true},
    {"inf", "-inf", 1e9, 1e9, false},
    {"inf", "1e308", 1e9, 1e9, false},
    {"1e308", "inf", 1e9, 1e9, false},
    {"inf", "1e999", 0, 0, true},
    {"-1e999", "-inf", 0, 0, true},
    {"0", "1e-999", 0, 0, true},
    {"1e308", "-1e308", 1e9, 1e9, true}, /* rel times the size is infinite */
    {"0x10", "16", 1, 1, false},         /* no number, so exactly */
    {"0x10", "0x10", 0, 0, true},
    {"1e", "1e0", 0, 0, false},
    {"1e+", "1e0", 0, 0, false},
    {".", "0", 0, 0, false},
    {"-", "0", 0, 0, false},
    {"1_000", "1000", 0, 0, false},
    {"1,5", "1.5", 0, 0, false},
    {"1.5.2", "1.5", 1, 1, false},
    {"++1", "1", 1, 1, false},
    {"nan(1)", "nan", 0, 0, false},
    {"infinit", "inf", 0, 0, false},
    {"1d0", "1", 0, 0, false},
    {"x 1", "x 1.1", 0.2, 0, true},
    {"x 1", "y 1", 9, 9, false},
    {"1 2", "1", 9, 9, false},
    {"1", "1 2", 9, 9, false},
    {"", "0", 9, 9, false},
    {"3.14", " 3.14\n\n", 0, 0, true},
    {"12345678901234567890", "12345678901234567891", 0, 0, true}, /* as doubles */
};

static void numbers_by_tolerance(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        if (accepts(CHECKER_FLOAT, numbers[i].abs, numbers[i].rel, span_text(numbers[i].expected),
                    span_text(numbers[i].got)) != numbers[i].yes)
            fail_msg("row %zu: %s %s", i, numbers[i].expected, numbers[i].got);
}

static void long_words_are_no_numbers(void **state)
{
    (void)state;
    char zeros[CHECKER_NUMBER_MAX + 2];
    memset(zeros, '0', sizeof zeros);
    assert_true(accepts(CHECKER_FLOAT, 0, 0, SPAN_LIT("0"), span_of(zeros, CHECKER_NUMBER_MAX)));
    assert_false(
        accepts(CHECKER_FLOAT, 9, 9, SPAN_LIT("0"), span_of(zeros, CHECKER_NUMBER_MAX + 1)));
}

static void names(void **state)
{
    (void)state;
    enum checker_kind kind;
    for (int i = 0; i < CHECKER_COUNT; i++) {
        assert_int_equal(checker_find(span_text(checker_name((enum checker_kind)i)), &kind), 0);
        assert_int_equal(kind, i);
    }
    assert_int_equal(checker_find(SPAN_LIT("Exact"), &kind), -1);
    assert_int_equal(checker_find(SPAN_LIT(""), &kind), -1);
}

/* A slow and obvious second opinion: words and lines made anew, then compared. */
static void normalise(struct span text, bool lines, char *out)
{
    const char *in = text.data;
    size_t len = 0, kept = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool space = in[i] && strchr(" \t\n\v\f\r", in[i]);
        if (lines) {
            if (in[i] == '\n')
                len = kept;
            out[len++] = in[i];
            kept = space ? (in[i] == '\n' ? len : kept) : len;
        } else if (!space) {
            out[len++] = in[i];
        } else if (len > 0 && out[len - 1] != ' ') {
            out[len++] = ' ';
        }
    }
    while (len > 0 && strchr(" \t\n\v\f\r", out[len - 1]))
        len--;
    out[len] = '\0';
}

static void random_texts_agree_with_a_second_opinion(void **state)
{
    (void)state;
    static const char alphabet[] = "ab1 \n\t";
    struct rnd rnd = rnd_seeded(7);
    size_t agreed[2] = {0};
    for (int round = 0; round < 300000; round++) {
        char a[12], b[12], x[13], y[13];
        size_t n[2];
        for (int side = 0; side < 2; side++) {
            uint8_t bytes[13];
            rnd_fill(&rnd, bytes, sizeof bytes);
            n[side] = bytes[12] % 10;
            for (size_t i = 0; i < n[side]; i++)
                (side ? b : a)[i] = alphabet[bytes[i] % (sizeof alphabet - 1)];
        }
        struct span s = span_of(a, n[0]), t = span_of(b, n[1]);
        for (int lines = 0; lines < 2; lines++) {
            normalise(s, lines, x);
            normalise(t, lines, y);
            bool same = strcmp(x, y) == 0;
            agreed[lines] += same;
            if (accepts(lines ? CHECKER_TRIMMED : CHECKER_TOKENS, 0, 0, s, t) != same)
                fail_msg("%s: [%.*s] [%.*s]", lines ? "trimmed" : "tokens", (int)s.len, a,
                         (int)t.len, b);
        }
        /* Each is no stricter than the one before; all hold for a text and itself. */
        bool e = accepts(CHECKER_EXACT, 0, 0, s, t), m = accepts(CHECKER_TRIMMED, 0, 0, s, t),
             k = accepts(CHECKER_TOKENS, 0, 0, s, t), f = accepts(CHECKER_FLOAT, 0, 0, s, t);
        assert_true((!e || m) && (!m || k) && (!k || f));
    }
    assert_true(agreed[0] > 1000 && agreed[1] > 1000); /* not only refusals were compared */
}

/* A megabyte of the worst kinds: seconds when anything is quadratic. */
static void long_texts_take_linear_time(void **state)
{
    (void)state;
    static const struct span pieces[] = {SPAN_LIT(" "),  SPAN_LIT("\n"),   SPAN_LIT("a"),
                                         SPAN_LIT("a "), SPAN_LIT("1e5 "), SPAN_LIT(" \n")};
    enum { BYTES = 1 << 20 };
    char *a = malloc(BYTES), *b = malloc(BYTES);
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        for (size_t at = 0; at < BYTES; at++)
            a[at] = b[at] = ((const char *)pieces[i].data)[at % pieces[i].len];
        for (int differs = 0; differs < 2; differs++) {
            b[BYTES - 1] = differs ? 'z' : a[BYTES - 1];
            int64_t begin = clock_system.mono_ns(&clock_system);
            for (int kind = 0; kind < CHECKER_COUNT; kind++)
                assert_int_equal(
                    accepts((enum checker_kind)kind, 0, 0, span_of(a, BYTES), span_of(b, BYTES)),
                    !differs);
            assert_true(clock_system.mono_ns(&clock_system) - begin < INT64_C(2000000000));
        }
    }
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_by_checker),
        cmocka_unit_test(numbers_by_tolerance),
        cmocka_unit_test(long_words_are_no_numbers),
        cmocka_unit_test(names),
        cmocka_unit_test(random_texts_agree_with_a_second_opinion),
        cmocka_unit_test(long_texts_take_linear_time),
    };
    return cmocka_run_group_tests_name("checkers", tests, NULL, NULL);
}
