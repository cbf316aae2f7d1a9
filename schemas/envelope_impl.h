/* The envelope's fields, for envelope.c: one row a header, in the order that is signed. */
#pragma once
#include "schemas/envelope.h"

#define ENVELOPE_VALUE_MAX 200

struct text {
    char data[ENVELOPE_VALUE_MAX];
};

enum { FIELD_TYPE, FIELD_ID, FIELD_TIMES = 19, FIELD_SIGNATURE = 22, ENVELOPE_FIELDS };
_Static_assert((int)ENVELOPE_FIELDS <= (int)ENVELOPE_HEADERS_MAX, "a header for each field");

/* put returns false when the record does not carry the field. */
struct field {
    const char *name;
    bool (*put)(const struct envelope *env, struct text *out);
    bool (*get)(struct span value, struct envelope *env);
    const char *rule;
};
extern const struct field envelope_fields[ENVELOPE_FIELDS];

/* Records that speak of one submission and carry everything about it. */
static inline bool of_submission(const struct envelope *env)
{
    return env->type == RECORD_submission || env->type == RECORD_job ||
           env->type == RECORD_verdict || env->type == RECORD_progress;
}

/* One message to one endpoint, and what came of it. */
static inline bool of_message(const struct envelope *env)
{
    return env->type == RECORD_webhook || env->type == RECORD_attempt;
}

static inline bool has_subject(const struct envelope *env)
{
    return of_submission(env) || of_message(env) || env->type == RECORD_control ||
           env->type == RECORD_endpoint;
}
