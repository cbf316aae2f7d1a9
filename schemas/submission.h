/* What a client asks for. One set of rules for all ways in: the HTTP body (submission_parse), and
 * the payload in the log (submission_pack, submission_unpack), which validate checks in full again
 * because a producer may bypass the gateway. Strict: unknown fields, duplicate keys, NUL,
 * ill-formed UTF-8, nesting beyond 32 and wrong types are ERR_INVALID and name the field and the
 * rule. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "schemas/errors.h"
#include "schemas/fields.h"
#include "schemas/languages.h"

#define CODE_BYTES_MAX 65536
#define STDIN_BYTES_MAX 262144
#define BODY_BYTES_MAX (1024 * 1024)
#define IDEMPOTENCY_KEY_MAX 255

struct submission {
    enum language language;
    enum profile profile;
    struct span code,
        stdin_data; /* stdin may hold any bytes that JSON text can say, NUL excepted */
    struct span webhook_url, webhook_secret; /* both or none (data NULL). Whether the URL may be
                                                used is asked of webhook_url.h */
};

/* field (may be NULL) receives the name of the offending field, "" for the whole body.
 * ERR_TOO_LARGE: the body; ERR_NOT_FOUND: the language, looked at last; everything else is
 * ERR_INVALID. Spans of out are in arena. */
int submission_parse(struct span body, struct arena *arena, struct submission *out,
                     char field[FIELD_NAME], struct err *err) MUST_CHECK;
/* Which answer of the API a failed submission_parse is. */
enum api_error submission_api_error(const struct err *err, const char *field);
/* Canonical body after aliases and defaults, for the fingerprint (delivery.md rule 7). */
int submission_canonical(const struct submission *sub, struct buf *out, struct err *err) MUST_CHECK;
int submission_pack(const struct submission *sub, struct buf *out, struct err *err) MUST_CHECK;
/* All rules again. ERR_CORRUPT: not a payload at all; otherwise the codes of submission_parse. Code
 * and stdin of out point into payload; arena is for reading the metadata. */
int submission_unpack(struct span payload, struct arena *arena, struct submission *out,
                      struct err *err) MUST_CHECK;
/* The Idempotency-Key header's value: bare or a quoted structured-field string (RFC 8941, no
 * parameters); 1-255 characters (code points) after quotes and escapes are removed, no control
 * characters. */
int idempotency_key_parse(struct span header, struct arena *arena, struct span *out,
                          struct err *err) MUST_CHECK;
