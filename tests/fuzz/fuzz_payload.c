/* payload_unpack and submission_unpack: spans stay inside the input, packing gives the same bytes.
 */
#include "schemas/payload.h"
#include "schemas/submission.h"
#include "tests/fuzz/fuzz.h"

static void check_inside(struct span part, const uint8_t *data, size_t size)
{
    const uint8_t *at = part.data;
    CHECK(at >= data && part.len <= size && (size_t)(at - data) <= size - part.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct payload payload;
    struct submission sub;
    struct arena arena;
    struct err err = {.code = ERR_NONE};
    arena_init(&arena, BODY_BYTES_MAX);
    if (payload_unpack(span_of(data, size), &payload, &err)) {
        check_error(&err);
    } else {
        BUF_AUTO struct buf again = {.max = 1 << 20};
        check_inside(payload.meta, data, size);
        for (size_t i = 0; i < payload.sections; i++)
            check_inside(payload.section[i].bytes, data, size);
        CHECK(payload_pack(&payload, &again, &err) == 0);
        CHECK(span_eq(buf_span(&again), span_of(data, size)));
    }
    err.code = ERR_NONE;
    if (submission_unpack(span_of(data, size), &arena, &sub, &err))
        check_error(&err);
    else
        CHECK(sub.code.len >= 1 && utf8_valid(sub.code) && utf8_valid(sub.stdin_data));
    arena_done(&arena);
    return 0;
}
