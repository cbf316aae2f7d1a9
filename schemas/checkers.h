/* Is the output the expected one? Pure functions of the two texts, linear in their length; NUL and
 * ill-formed bytes are bytes like any other.
 *
 *   exact    the same bytes.
 *   trimmed  the same lines, without what space ends a line with (space \t \v \f \r), and without
 *            empty lines at the end.
 *   tokens   the same words: what lies between runs of space (space \t \n \v \f \r).
 *   float    as tokens, but two words that are both numbers need only be near: their difference is
 *            at most abs, or at most rel times the expected one's size. A number is
 *            [+-] digits with at most one point among or around them [eE [+-] digits], or [+-] inf,
 *            infinity or nan in any case; what is too large for a double is infinite. Infinities
 *            are near when their signs agree, nan is near nan. Words of over 512 bytes are no
 *            numbers. */
#pragma once
#include "lib/base/span.h"

enum checker_kind { CHECKER_EXACT, CHECKER_TRIMMED, CHECKER_TOKENS, CHECKER_FLOAT, CHECKER_COUNT };
#define CHECKER_DEFAULT CHECKER_TRIMMED
#define CHECKER_NUMBER_MAX 512

struct checker {
    enum checker_kind kind;
    double abs, rel; /* of CHECKER_FLOAT: finite, not negative */
};

const char *checker_name(enum checker_kind kind);
int checker_find(struct span name, enum checker_kind *out) __attribute__((warn_unused_result));
bool checker_accepts(const struct checker *checker, struct span expected, struct span got);
