/* idempotency_key_parse: what is taken is 1 to 255 characters without control characters. */
#include "schemas/submission.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct span key;
    struct err err = {.code = ERR_NONE};
    size_t characters = 0;
    arena_init(&arena, 65536);
    if (idempotency_key_parse(span_of(data, size), &arena, &key, &err)) {
        check_error(&err);
    } else {
        const unsigned char *text = key.data;
        for (size_t i = 0; i < key.len; i++) {
            CHECK(text[i] >= ' ' && text[i] != 0x7f);
            characters += (text[i] & 0xc0) != 0x80;
        }
        CHECK(characters >= 1 && characters <= IDEMPOTENCY_KEY_MAX && utf8_valid(key));
    }
    arena_done(&arena);
    return 0;
}
