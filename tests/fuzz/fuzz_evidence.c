/* evidence_decode: what is taken is written back to a text that is taken again and is the same; no
 * text is longer than its place (one place's neighbour is another: no sanitizer sees that);
 * deciding on it never crashes. */
#include "schemas/verdict_rules.h"
#include "tests/fuzz/fuzz.h"

#define CHECK_ENDS(text) CHECK(strnlen(text, sizeof(text)) < sizeof(text))

static void check_texts(const struct evidence *ev)
{
    CHECK_ENDS(ev->setup_error);
    CHECK_ENDS(ev->filter_sha256);
    CHECK_ENDS(ev->toolchain);
    CHECK_ENDS(ev->compile_cache);
    CHECK_ENDS(ev->tier);
    CHECK_ENDS(ev->cgroup_backend);
    for (size_t i = 0; i < COUNT_OF(ev->collection_errors); i++)
        CHECK_ENDS(ev->collection_errors[i]);
    for (size_t i = 0; i < COUNT_OF(ev->run.seccomp); i++) {
        CHECK_ENDS(ev->run.seccomp[i].name);
        CHECK_ENDS(ev->compile.seccomp[i].name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct evidence ev, back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf first = {.max = 1 << 20}, second = {.max = 1 << 20};
    if (evidence_decode(span_of(data, size), &ev, &err)) {
        check_error(&err);
        return 0;
    }
    check_texts(&ev);
    CHECK(evidence_encode(&ev, &first, &err) == 0);
    CHECK(evidence_decode(buf_span(&first), &back, &err) == 0);
    CHECK(evidence_encode(&back, &second, &err) == 0);
    CHECK(span_eq(buf_span(&first), buf_span(&second)));
    struct decision decision = verdict_decide(&ev, TAXONOMY_EXTENDED);
    CHECK(decision.verdict < VERDICT_COUNT && decision.cause < CAUSE_COUNT);
    return 0;
}
