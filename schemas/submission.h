/* What a client asks for. One set of rules for all ways in: the HTTP body (submission_parse), and
 * the payload in the log (submission_pack, submission_unpack), which validate checks in full again
 * because a producer may bypass the gateway. Strict: unknown fields, duplicate keys, NUL,
 * ill-formed UTF-8, nesting beyond 32 and wrong types are ERR_INVALID and name the field and the
 * rule. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "schemas/checkers.h"
#include "schemas/errors.h"
#include "schemas/fields.h"
#include "schemas/file_path.h"
#include "schemas/languages.h"

#define CODE_BYTES_MAX 65536
#define STDIN_BYTES_MAX 262144
#define BODY_BYTES_MAX (1024 * 1024)
#define IDEMPOTENCY_KEY_MAX 255

#define SUBMISSION_ARENA_MAX (16 * BODY_BYTES_MAX) /* more than any body needs when it is read */
#define CASES_MAX 1000
#define CASE_NAME_MAX 64
#define LABELS_MAX 16
#define LABEL_NAME_MAX 64
#define LABEL_VALUE_MAX 256

struct given_file {
    struct span path, content; /* content: any bytes */
};

struct label {
    struct span name, value;
};

struct test_case {
    struct span name; /* as it was given; empty: its number is its name */
    struct span stdin_data, expected;
    bool has_expected; /* else only how the program ends is judged */
    struct checker checker;
    const struct span *args;
    size_t arg_count;
};

/* Arrays and texts live where the parser's or the payload's do; NUL-terminated but for contents. */
struct submission {
    enum language language;
    enum profile profile;
    struct span code,
        stdin_data; /* stdin may hold any bytes that JSON text can say, NUL excepted */
    struct span webhook_url, webhook_secret; /* none: data NULL; a secret alone is refused.
                                                Whether the URL may be used is asked of
                                                webhook_url.h */
    struct limits_wish limits;
    const struct span *args;
    const struct given_file *files; /* ascending by path, none twice */
    const struct label *labels;     /* ascending by name, none twice */
    const struct test_case *cases;  /* then there are neither stdin nor args beside them */
    size_t arg_count, file_count, label_count, case_count;
    bool stop_on_fail; /* of cases: nothing is run behind the first that fails */
};

/* The run's limits: the profile's, tightened. */
struct limits submission_limits(const struct submission *sub);
/* "name:value" of a filter, split at the first colon; -1 when no label can be meant. */
int label_parse(struct span text, struct label *out) MUST_CHECK;
/* As a JSON object. */
void labels_put(const struct label *labels, size_t count, struct buf *out);
#define LABEL_HASH_BYTES 16
/* What is stored of a label in the clear: a hash under the project's secret (32 bytes). */
void label_hash(struct span secret, const struct label *label, uint8_t out[LABEL_HASH_BYTES]);

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
