/* The checkers of checkers.h. Each walks both texts once, by words or lines; none copies them. */
#include "schemas/checkers.h"
#include "lib/base/strict.h"
#include <math.h>
#include <stdlib.h>
#include <strings.h>

static const char *const names[CHECKER_COUNT] = {"exact", "trimmed", "tokens", "float"};

const char *checker_name(enum checker_kind kind)
{
    CHECK((unsigned)kind < CHECKER_COUNT);
    return names[kind];
}

int checker_find(struct span name, enum checker_kind *out)
{
    for (unsigned i = 0; i < CHECKER_COUNT; i++)
        if (span_is(name, names[i])) {
            *out = (enum checker_kind)i;
            return 0;
        }
    return -1;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* ---- trimmed ---- */

static struct span without_end(struct span text)
{
    const char *bytes = text.data;
    while (text.len > 0 && is_space(bytes[text.len - 1]))
        text.len--;
    return text;
}

/* Takes the first line off *rest; the line without its end. */
static struct span next_line(struct span *rest)
{
    const char *bytes = rest->data, *end = memchr(bytes, '\n', rest->len);
    size_t len = end ? (size_t)(end - bytes) : rest->len, taken = len + (end != NULL);
    *rest = span_of(bytes + taken, rest->len - taken);
    return without_end(span_of(bytes, len));
}

static bool same_lines(struct span expected, struct span got)
{
    expected = without_end(expected);
    got = without_end(got);
    while (expected.len > 0 && got.len > 0)
        if (!span_eq(next_line(&expected), next_line(&got)))
            return false;
    return expected.len == got.len;
}

/* ---- tokens ---- */

/* Takes the first word off *rest; empty when there is none. */
static struct span next_word(struct span *rest)
{
    const char *bytes = rest->data;
    size_t begin = 0, end;
    while (begin < rest->len && is_space(bytes[begin]))
        begin++;
    for (end = begin; end < rest->len && !is_space(bytes[end]); end++)
        ;
    *rest = span_of(bytes + end, rest->len - end);
    return span_of(bytes + begin, end - begin);
}

static size_t skip_digits(const char *text, size_t at)
{
    while (text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

/* The grammar of checkers.h for what is no name; strtod alone would take "0x1p3" as well. */
static bool is_decimal(const char *text)
{
    size_t at = text[0] == '+' || text[0] == '-', begin = at;
    at = skip_digits(text, at);
    size_t digits = at - begin;
    if (text[at] == '.') {
        begin = at + 1;
        at = skip_digits(text, begin);
        digits += at - begin;
    }
    if (digits == 0)
        return false;
    if (text[at] == 'e' || text[at] == 'E') {
        begin = at + 1 + (text[at + 1] == '+' || text[at + 1] == '-');
        at = skip_digits(text, begin);
        if (at == begin)
            return false;
    }
    return text[at] == '\0';
}

static bool is_name(const char *text)
{
    text += text[0] == '+' || text[0] == '-';
    return strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0 ||
           strcasecmp(text, "nan") == 0;
}

static bool number_of(struct span word, double *out)
{
    char text[CHECKER_NUMBER_MAX + 1];
    if (span_copy(word, text, sizeof text) != 0 || !(is_decimal(text) || is_name(text)))
        return false;
    *out = strtod(text, NULL); /* HUGE_VAL is infinite, as the rule wants it */
    return true;
}

static bool near(const struct checker *checker, double expected, double got)
{
    if (isnan(expected) || isnan(got))
        return isnan(expected) && isnan(got);
    if (isinf(expected) || isinf(got))
        return isinf(expected) && isinf(got) && (expected > 0) == (got > 0);
    double apart = fabs(got - expected);
    return apart <= checker->abs || apart <= checker->rel * fabs(expected);
}

static bool same_word(const struct checker *checker, struct span expected, struct span got)
{
    double a, b;
    if (span_eq(expected, got))
        return true;
    return checker->kind == CHECKER_FLOAT && number_of(expected, &a) && number_of(got, &b) &&
           near(checker, a, b);
}

static bool same_words(const struct checker *checker, struct span expected, struct span got)
{
    for (;;) {
        struct span a = next_word(&expected), b = next_word(&got);
        if (a.len == 0 || b.len == 0)
            return a.len == b.len;
        if (!same_word(checker, a, b))
            return false;
    }
}

bool checker_accepts(const struct checker *checker, struct span expected, struct span got)
{
    switch (checker->kind) {
    case CHECKER_EXACT:
        return span_eq(expected, got);
    case CHECKER_TRIMMED:
        return same_lines(expected, got);
    case CHECKER_TOKENS:
    case CHECKER_FLOAT:
        return same_words(checker, expected, got);
    case CHECKER_COUNT:
        break;
    }
    CHECK(!"a checker");
    return false;
}
