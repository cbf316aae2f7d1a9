/* A JSON object of text fields from outside, read by a table of rules. The one strict reader
 * of request bodies: bounded depth (checked before parsing), no NUL, no ill-formed UTF-8, no
 * duplicate or unknown keys, nothing after the object. Messages name the field and the rule, never
 * a value. */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/span.h"

#define JSON_DEPTH_MAX 32
#define FIELD_NAME 64

struct field_rule {
    const char *name;
    bool required;
    size_t min_bytes, max_bytes;
    bool list; /* an array of such strings without commas; the value has them joined by commas */
    const char *refused; /* a known name that is refused, and why; NULL = accepted */
    bool nested;         /* an array or object, which the caller reads (fields_impl.h) */
};

/* values[i] belongs to rules[i]; its data is NULL when the field is absent, else NUL-terminated and
 * in arena. ERR_INVALID: field receives the offending field's name, cut and made printable; "" =
 * the whole body. field may be NULL. */
int fields_parse(struct span body, const struct field_rule *rules, size_t count,
                 struct arena *arena, struct span *values, char field[FIELD_NAME],
                 struct err *err) MUST_CHECK;
/* Fails as fields_parse does, for a rule that it cannot know. */
int field_refuse(const char *name, char field[FIELD_NAME], struct err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
