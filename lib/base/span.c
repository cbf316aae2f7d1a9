/* Conversions out of borrowed bytes. Outputs are untouched on failure, except that span_copy
 * leaves an empty string, so that a forgotten check cannot read stale text. */
#include "lib/base/span.h"

int span_copy(struct span a, char *out, size_t out_size)
{
    if (out_size == 0)
        return -1;
    out[0] = '\0';
    if (a.len >= out_size || (a.len > 0 && memchr(a.data, 0, a.len)))
        return -1;
    if (a.len > 0)
        memcpy(out, a.data, a.len);
    out[a.len] = '\0';
    return 0;
}

int span_u64(struct span a, uint64_t *out)
{
    const unsigned char *text = a.data;
    uint64_t value = 0;
    if (a.len == 0)
        return -1;
    for (size_t i = 0; i < a.len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return -1;
    }
    *out = value;
    return 0;
}
