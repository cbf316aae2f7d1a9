/* envelope_decode: input lines "name=value", so that seeds are readable. What is taken is written
 * back as the same text. */
#include "schemas/envelope.h"
#include "tests/fuzz/fuzz.h"

#define LINES_MAX 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header headers[LINES_MAX], written[ENVELOPE_HEADERS_MAX];
    struct envelope env;
    struct err err = {.code = ERR_NONE};
    struct arena arena;
    size_t count = 0;
    bool has_id;
    arena_init(&arena, 1 << 20);
    char *text = arena_text(&arena, span_of(data, size));
    for (char *at = text; text && *at && count < LINES_MAX;) {
        size_t line = strcspn(at, "\n");
        char *equals = memchr(at, '=', line);
        char *next = at + line + (at[line] == '\n');
        if (equals) {
            headers[count++] =
                (struct header){at, span_of(equals + 1, (size_t)(at + line - equals - 1))};
            *equals = '\0';
        }
        at = next;
    }
    if (envelope_decode(headers, count, &env, &has_id, &err)) {
        check_error(&err);
    } else {
        size_t n = envelope_encode(&env, &arena, written);
        CHECK(n > 0);
        for (size_t i = 0; i < n; i++) { /* each as it was read; times may have been left out */
            bool same = strcmp(written[i].name, "times") == 0;
            for (size_t k = 0; k < count; k++)
                if (strcmp(headers[k].name, written[i].name) == 0)
                    same = span_eq(headers[k].value, written[i].value);
            CHECK(same);
        }
        CHECK(!has_id || uuid_is_v7(&env.id));
    }
    arena_done(&arena);
    return 0;
}
