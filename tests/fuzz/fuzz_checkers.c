/* Checkers on any two texts: each accepts a text for itself, none is stricter than the one before;
 * trimmed and tokens say what comparing a tidied copy says, and float looks at as many words. */
#include "schemas/checkers.h"
#include "tests/fuzz/fuzz.h"

static bool accepts(enum checker_kind kind, double tolerance, struct span a, struct span b)
{
    const struct checker checker = {kind, tolerance, tolerance};
    return checker_accepts(&checker, a, b);
}

static bool space(char c)
{
    return c != '\0' && strchr(" \t\n\v\f\r", c);
}

/* A copy with one space between words, or with lines that end without space; none at the end. */
static void tidy(struct span text, bool words, struct buf *out)
{
    const char *bytes = text.data;
    size_t kept = 0, spaces = 0; /* kept: without the space at its end */
    for (size_t i = 0; i < text.len; i++) {
        spaces = space(bytes[i]) ? spaces + 1 : 0;
        if (words && spaces > 0 && (spaces > 1 || out->len == 0))
            continue;
        if (!words && bytes[i] == '\n')
            while (out->len > 0 && out->data[out->len - 1] != '\n' &&
                   space(out->data[out->len - 1]))
                out->len--;
        buf_add(out, words && spaces > 0 ? " " : &bytes[i], 1);
        kept = spaces > 0 ? kept : out->len;
    }
    out->len = kept;
    CHECK(!out->failed);
}

static size_t word_count(const struct buf *words)
{
    size_t count = words->len > 0;
    for (size_t i = 0; i < words->len; i++)
        count += words->data[i] == ' ';
    return count;
}

static void against_copies(struct span a, struct span b, const bool accepted[])
{
    BUF_AUTO struct buf first = {.max = 4096}, second = {.max = 4096};
    tidy(a, false, &first);
    tidy(b, false, &second);
    CHECK(span_eq(buf_span(&first), buf_span(&second)) == accepted[CHECKER_TRIMMED]);
    buf_clear(&first);
    buf_clear(&second);
    tidy(a, true, &first);
    tidy(b, true, &second);
    CHECK(span_eq(buf_span(&first), buf_span(&second)) == accepted[CHECKER_TOKENS]);
    CHECK(!accepted[CHECKER_FLOAT] || word_count(&first) == word_count(&second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t cut = (size_t)(data[0] << 8 | data[1]) % (size - 1);
    struct span a = span_of(data + 2, cut < size - 2 ? cut : size - 2);
    struct span b = span_of((const char *)a.data + a.len, size - 2 - a.len);
    bool accepted[CHECKER_COUNT + 1];
    for (int kind = 0; kind < CHECKER_COUNT; kind++) {
        accepted[kind] = accepts((enum checker_kind)kind, 0, a, b);
        CHECK(accepts((enum checker_kind)kind, 0, a, a));
        CHECK(accepts((enum checker_kind)kind, 0, b, a) == accepted[kind]);
        CHECK(kind == 0 || !accepted[kind - 1] || accepted[kind]);
    }
    against_copies(a, b, accepted);
    accepted[CHECKER_COUNT] = accepts(CHECKER_FLOAT, 1e-3, a, b);
    CHECK(!accepted[CHECKER_FLOAT] || accepted[CHECKER_COUNT]);
    return 0;
}
