/* result_unpack, result_summary and result_body: a body is strict JSON, whatever the outputs were.
 */
#include "schemas/result.h"
#include "tests/fuzz/fuzz.h"
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span payload = span_of(data, size);
    struct result_summary sum;
    struct result result;
    struct err err = {.code = ERR_NONE};
    struct uuid id = {{1, 2, 3, 4, 5, 6, 0x70, 8, 0x90}};
    struct arena arena;
    BUF_AUTO struct buf body = {.max = 1 << 20}, text = {.max = 1 << 20}, again = {.max = 1 << 20};
    arena_init(&arena, 1 << 20);
    int summed = result_summary(payload, &sum, &err);
    if (summed)
        check_error(&err);
    CHECK(result_canonical(payload, &text, &err) != 0 || summed == 0);
    if (result_body(payload, &id, &body, &err) == 0) {
        json_error_t error;
        json_t *json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &error);
        CHECK(summed == 0 && json && json_is_string(json_object_get(json, "verdict")));
        json_decref(json);
        CHECK(result_unpack(payload, &arena, &result, &err) == 0);
        CHECK(result_pack(&result, &again, &err) == 0);
        CHECK(result_summary(buf_span(&again), &sum, &err) == 0);
    } else {
        check_error(&err);
    }
    arena_done(&arena);
    return 0;
}
