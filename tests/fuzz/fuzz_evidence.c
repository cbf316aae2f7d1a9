/* evidence_decode: what is taken is written back to a text that is taken again and is the same;
 * deciding on it never crashes. */
#include "schemas/verdict_rules.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct evidence ev, back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf first = {.max = 1 << 20}, second = {.max = 1 << 20};
    if (evidence_decode(span_of(data, size), &ev, &err)) {
        check_error(&err);
        return 0;
    }
    CHECK(evidence_encode(&ev, &first, &err) == 0);
    CHECK(evidence_decode(buf_span(&first), &back, &err) == 0);
    CHECK(evidence_encode(&back, &second, &err) == 0);
    CHECK(span_eq(buf_span(&first), buf_span(&second)));
    struct decision decision = verdict_decide(&ev, TAXONOMY_EXTENDED);
    CHECK(decision.verdict < VERDICT_COUNT && decision.cause < CAUSE_COUNT);
    return 0;
}
