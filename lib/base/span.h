/* Borrowed bytes. A span never owns and need not end in NUL; it is valid as long as its source. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const void *data;
    size_t len; /* bytes */
};

#define SPAN_LIT(text) ((struct span){(text), sizeof(text) - 1})

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){data, len};
}

static inline struct span span_text(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
    return span_eq(a, span_text(text));
}
/* Copies into a NUL-terminated buffer; -1 (buffer empty) when it does not fit or holds a NUL. */
int span_copy(struct span a, char *out, size_t out_size) __attribute__((warn_unused_result));
/* Decimal without sign or spaces into an unsigned 64-bit value; -1 when it is anything else. */
int span_u64(struct span a, uint64_t *out) __attribute__((warn_unused_result));
