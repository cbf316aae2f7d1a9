/* Checkers on any two texts: each accepts a text for itself, none is stricter than the one before,
 * and a tolerance of nothing on words that are no numbers is `tokens`. */
#include "schemas/checkers.h"
#include "tests/fuzz/fuzz.h"

static bool accepts(enum checker_kind kind, double tolerance, struct span a, struct span b)
{
    const struct checker checker = {kind, tolerance, tolerance};
    return checker_accepts(&checker, a, b);
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
    accepted[CHECKER_COUNT] = accepts(CHECKER_FLOAT, 1e-3, a, b);
    CHECK(!accepted[CHECKER_FLOAT] || accepted[CHECKER_COUNT]);
    return 0;
}
