/* Owned, growing bytes with a hard maximum given at creation.
 *
 * Appending past the maximum or out of memory marks the buffer `failed` and drops the bytes; the
 * caller checks once at the end (buf_failed). buf_done frees; a zeroed buf with max set is valid.
 */
#pragma once
#include "lib/base/span.h"
#include <stdarg.h>

struct buf {
    char *data; /* NUL-terminated when len > 0 or after buf_text */
    size_t len, cap, max;
    bool failed;
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_done(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for len more bytes to be written in place; NULL when it does not fit. Then buf_grow(len). */
void *buf_reserve(struct buf *buf, size_t len);
void buf_grow(struct buf *buf, size_t len);
struct span buf_span(const struct buf *buf);
const char *buf_text(struct buf *buf); /* NUL-terminated; "" when empty or failed */
#define BUF_AUTO __attribute__((cleanup(buf_done)))
