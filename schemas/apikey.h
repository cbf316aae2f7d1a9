/* API keys: "rb_live_" or "rb_test_", 32 random base62 characters (190 bits), 6 characters of
 * checksum.
 *
 * The checksum is the CRC-32 (ISO-HDLC, as in zlib) of everything before it, in base62 with digits
 * 0-9 A-Z a-z, most significant first, padded with "0" to six. It is no secret: it lets a typo be
 * refused without a look-up, and lets secret scanners know a real key. What is stored is the
 * SHA-256 of the whole text, never the key. */
#pragma once
#include "lib/base/rnd.h"
#include "lib/base/span.h"

#define APIKEY_BYTES 46 /* of the text, without NUL */

void apikey_generate(struct rnd *rnd, bool test, char out[APIKEY_BYTES + 1]);
/* True when text is well-formed and its checksum fits; *test (may be NULL) says which kind. */
bool apikey_check(struct span text, bool *test);
