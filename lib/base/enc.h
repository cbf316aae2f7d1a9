/* Text encodings and UTF-8. All outputs are NUL-terminated; sizes include the NUL. */
#pragma once
#include "lib/base/buf.h"

#define HEX_SIZE(n) ((n)*2 + 1)
void hex_encode(const void *data, size_t len, char *out); /* lower case; out has HEX_SIZE(len) */
int hex_decode(struct span text, void *out, size_t out_len)
    __attribute__((warn_unused_result)); /* exactly out_len bytes */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
void base64_encode(const void *data, size_t len, char *out); /* RFC 4648 part 4, padded */
/* Strict: padding required, no spaces. *out_len is the capacity, then the length. */
int base64_decode(struct span text, void *out, size_t *out_len) __attribute__((warn_unused_result));
/* Well-formed UTF-8 (Unicode 15 table 3-7); NUL counts as well-formed. */
bool utf8_valid(struct span text);
/* Appends text with each ill-formed sequence and each NUL replaced by U+FFFD (maximal subpart
 * practice); returns true when something was replaced. */
bool utf8_scrub(struct span text, struct buf *out);
/* Appends text as a JSON string with quotes; the input must be well-formed UTF-8. */
void json_quote(struct span text, struct buf *out);
