/* How each field of the envelope is written and read (envelope_impl.h). */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "schemas/envelope_impl.h"
#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    uint16_t version;
} records[RECORD_COUNT] = {
#define RECORD(name, version, ...) [RECORD_##name] = {#name, version},
#include "schemas/records.def"
#undef RECORD
};

#define ID_MS_END INT64_C(253402300800000) /* year 10000: its day has no ten-character text */

const char *record_name(enum record_type type)
{
    CHECK((unsigned)type < RECORD_COUNT);
    return records[type].name;
}

/* printf is most of what an envelope costs: plain text and small numbers go without. */
static char *put_text(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len + 1);
    return at + len;
}

static char *put_u64(char *at, uint64_t number)
{
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    *at = '\0';
    return at;
}

static bool put_type(const struct envelope *env, struct text *out)
{
    char *at = put_text(out->data, record_name(env->type));
    *at++ = '/';
    put_u64(at, env->version);
    return true;
}

static bool get_type(struct span value, struct envelope *env)
{
    for (unsigned i = 0; i < RECORD_COUNT; i++) {
        size_t len = strlen(records[i].name);
        if (value.len <= len + 1 || memcmp(value.data, records[i].name, len) != 0)
            continue;
        struct span version = span_of((const char *)value.data + len + 1, value.len - len - 1);
        uint64_t number;
        if (((const char *)value.data)[len] != '/' || span_u64(version, &number))
            continue;
        env->type = (enum record_type)i;
        env->version = records[i].version;
        return number == records[i].version;
    }
    return false;
}

static bool put_id(const struct envelope *env, struct text *out)
{
    if (!has_subject(env))
        return false;
    uuid_format(&env->id, out->data);
    return true;
}

static bool get_id(struct span value, struct envelope *env)
{
    char text[UUID_TEXT];
    if (uuid_parse(value, &env->id) || !uuid_is_v7(&env->id) || uuid_ms(&env->id) >= ID_MS_END)
        return false;
    uuid_format(&env->id, text);
    return span_is(value, text); /* here, because has_id depends on it */
}

static bool put_day(const struct envelope *env, struct text *out)
{
    if (!has_subject(env))
        return false;
    day_format(uuid_day(&env->id), out->data);
    return true;
}

/* The id says the day; the canonical check refuses any other text. */
static bool get_nothing(struct span value, struct envelope *env)
{
    (void)value;
    (void)env;
    return true;
}

static bool put_project(const struct envelope *env, struct text *out)
{
    if (!has_subject(env))
        return false;
    uuid_format(&env->project, out->data);
    return true;
}

static bool get_project(struct span value, struct envelope *env)
{
    return uuid_parse(value, &env->project) == 0;
}

static bool put_key(const struct envelope *env, struct text *out)
{
    if (!of_submission(env) && (env->type != RECORD_webhook || env->retention_class == 0))
        return false;
    snprintf(out->data, sizeof out->data, "%u-%016" PRIx64, env->retention_class, env->key_number);
    return true;
}

static bool get_key(struct span value, struct envelope *env)
{
    const char *text = value.data;
    const char *dash = value.len > 17 ? text + value.len - 17 : NULL;
    uint64_t class_days;
    uint8_t number[8];
    if (!dash || *dash != '-' || span_u64(span_of(text, value.len - 17), &class_days) ||
        hex_decode(span_of(dash + 1, 16), number, sizeof number))
        return false;
    if (class_days != 7 && class_days != 30 && class_days != 90 && class_days != 365)
        return false;
    env->retention_class = (uint16_t)class_days;
    env->key_number = 0;
    for (int i = 0; i < 8; i++)
        env->key_number = env->key_number << 8 | number[i];
    return true;
}

static bool put_key_hash(const struct envelope *env, struct text *out)
{
    if (!env->keyed || !of_submission(env))
        return false;
    hex_encode(env->key_hash, sizeof env->key_hash, out->data);
    return true;
}

static bool get_key_hash(struct span value, struct envelope *env)
{
    env->keyed = true;
    return hex_decode(value, env->key_hash, sizeof env->key_hash) == 0;
}

static bool put_fingerprint(const struct envelope *env, struct text *out)
{
    if (!env->keyed || !of_submission(env))
        return false;
    hex_encode(env->fingerprint, sizeof env->fingerprint, out->data);
    return true;
}

static bool get_fingerprint(struct span value, struct envelope *env)
{
    env->keyed = true; /* without key-hash: found missing */
    return hex_decode(value, env->fingerprint, sizeof env->fingerprint) == 0;
}

static bool put_language(const struct envelope *env, struct text *out)
{
    if (!of_submission(env))
        return false;
    put_text(out->data, language_name(env->language));
    return true;
}

static bool get_language(struct span value, struct envelope *env)
{
    return language_find(value, &env->language) == 0;
}

static bool put_profile(const struct envelope *env, struct text *out)
{
    if (!of_submission(env))
        return false;
    put_text(out->data, profile_name(env->profile));
    return true;
}

static bool get_profile(struct span value, struct envelope *env)
{
    return profile_find(value, &env->profile) == 0;
}

static bool put_lane(const struct envelope *env, struct text *out)
{
    put_text(out->data, env->lane == LANE_BATCH ? "batch" : "interactive");
    return of_submission(env);
}

static bool get_lane(struct span value, struct envelope *env)
{
    env->lane = span_is(value, "batch") ? LANE_BATCH : LANE_INTERACTIVE;
    return true;
}

static bool put_endpoint(const struct envelope *env, struct text *out)
{
    if (!of_message(env))
        return false;
    uuid_format(&env->endpoint, out->data);
    return true;
}

static bool get_endpoint(struct span value, struct envelope *env)
{
    return uuid_parse(value, &env->endpoint) == 0;
}

static bool put_event(const struct envelope *env, struct text *out)
{
    if (!of_message(env))
        return false;
    put_text(out->data, webhook_event_name(env->event));
    return true;
}

static bool get_event(struct span value, struct envelope *env)
{
    return webhook_event_find(value, &env->event) == 0;
}

static bool put_message(const struct envelope *env, struct text *out)
{
    if (!of_message(env))
        return false;
    uuid_format(&env->message, out->data);
    return true;
}

static bool get_message(struct span value, struct envelope *env)
{
    return uuid_parse(value, &env->message) == 0;
}

static bool put_generation(const struct envelope *env, struct text *out)
{
    put_u64(out->data, env->generation);
    return env->generation > 0;
}

static bool get_generation(struct span value, struct envelope *env)
{
    uint64_t number;
    if (span_u64(value, &number) || number == 0 || number > UINT32_MAX)
        return false;
    env->generation = (uint32_t)number;
    return true;
}

static bool put_attempt(const struct envelope *env, struct text *out)
{
    put_u64(out->data, env->attempt);
    return env->attempt > 0;
}

static bool get_attempt(struct span value, struct envelope *env)
{
    uint64_t number;
    if (span_u64(value, &number) || number == 0 || number > UINT32_MAX)
        return false;
    env->attempt = (uint32_t)number;
    return true;
}

static bool put_not_before(const struct envelope *env, struct text *out)
{
    if (env->not_before_ms <= 0)
        return false;
    put_u64(out->data, (uint64_t)env->not_before_ms);
    return true;
}

static bool get_not_before(struct span value, struct envelope *env)
{
    uint64_t number;
    if (span_u64(value, &number) || number == 0 || number > INT64_MAX)
        return false;
    env->not_before_ms = (int64_t)number;
    return true;
}

/* A word: so that no value can hold the "\n" or "=" of the signed text. */
static bool get_word(struct span value, char *out, size_t size)
{
    const unsigned char *text = value.data;
    for (size_t i = 0; i < value.len; i++) {
        bool alnum =
            (text[i] >= '0' && text[i] <= '9') || ((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z');
        if (!alnum && text[i] != '.' && text[i] != '_' && text[i] != '-')
            return false;
    }
    return value.len > 0 && span_copy(value, out, size) == 0;
}

static bool put_word(const char *word, struct text *out)
{
    put_text(out->data, word);
    return word[0] != '\0';
}

static bool put_origin(const struct envelope *env, struct text *out)
{
    return put_word(env->origin, out);
}

static bool get_origin(struct span value, struct envelope *env)
{
    return get_word(value, env->origin, sizeof env->origin);
}

static bool put_policy(const struct envelope *env, struct text *out)
{
    return put_word(env->policy, out);
}

static bool get_policy(struct span value, struct envelope *env)
{
    return get_word(value, env->policy, sizeof env->policy);
}

static bool put_traceparent(const struct envelope *env, struct text *out)
{
    return put_word(env->traceparent, out);
}

static bool get_traceparent(struct span value, struct envelope *env)
{
    return traceparent_valid(value) &&
           span_copy(value, env->traceparent, sizeof env->traceparent) == 0;
}

static bool put_times(const struct envelope *env, struct text *out)
{
    const struct stage_times *times = &env->times;
    if (!of_submission(env))
        return false;
    snprintf(out->data, sizeof out->data,
             "%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64, times->received,
             times->produced, times->validated, times->admitted, times->dequeued);
    return true;
}

static bool get_times(struct span value, struct envelope *env)
{
    int64_t *const fields[] = {&env->times.received, &env->times.produced, &env->times.validated,
                               &env->times.admitted, &env->times.dequeued};
    const char *at = value.data, *end = at + value.len;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const char *comma = i + 1 < COUNT_OF(fields) ? memchr(at, ',', (size_t)(end - at)) : end;
        uint64_t number;
        if (!comma || span_u64(span_of(at, (size_t)(comma - at)), &number) || number > INT64_MAX)
            return false;
        *fields[i] = (int64_t)number;
        at = comma + (comma < end);
    }
    return true;
}

static bool put_digest(const struct envelope *env, struct text *out)
{
    if (!has_subject(env))
        return false;
    hex_encode(env->digest, sizeof env->digest, out->data);
    return true;
}

static bool get_digest(struct span value, struct envelope *env)
{
    return hex_decode(value, env->digest, sizeof env->digest) == 0;
}

static bool put_signer(const struct envelope *env, struct text *out)
{
    return put_word(env->signer, out);
}

static bool get_signer(struct span value, struct envelope *env)
{
    return get_word(value, env->signer, sizeof env->signer);
}

static bool put_signature(const struct envelope *env, struct text *out)
{
    if (!env->is_signed)
        return false;
    hex_encode(env->signature, sizeof env->signature, out->data);
    return true;
}

static bool get_signature(struct span value, struct envelope *env)
{
    env->is_signed = true;
    return hex_decode(value, env->signature, sizeof env->signature) == 0;
}

const struct field envelope_fields[ENVELOPE_FIELDS] = {
    [FIELD_TYPE] = {"type", put_type, get_type,
                    "a known record type and version, like submission/1"},
    [FIELD_ID] = {"id", put_id, get_id, "a UUIDv7 in lower case"},
    {"day", put_day, get_nothing, "the id's UTC day"},
    {"project", put_project, get_project, "a UUID in lower case"},
    {"key", put_key, get_key, "CLASS-NUMBER with class 7, 30, 90 or 365 and 16 hexadecimal digits"},
    {"key-hash", put_key_hash, get_key_hash, "64 hexadecimal digits"},
    {"fingerprint", put_fingerprint, get_fingerprint, "64 hexadecimal digits"},
    {"language", put_language, get_language, "a canonical language name"},
    {"profile", put_profile, get_profile, "judge or agent"},
    {"lane", put_lane, get_lane, "interactive or batch"},
    {"endpoint", put_endpoint, get_endpoint, "a UUID in lower case"},
    {"event", put_event, get_event, "a name of webhook_events.def"},
    {"message", put_message, get_message, "a UUID in lower case"},
    {"generation", put_generation, get_generation, "a number above 0"},
    {"attempt", put_attempt, get_attempt, "a number above 0"},
    {"not-before", put_not_before, get_not_before, "Unix milliseconds above 0"},
    {"origin", put_origin, get_origin, "1 to 15 of A-Z a-z 0-9 . _ -"},
    {"policy", put_policy, get_policy, "1 to 15 of A-Z a-z 0-9 . _ -"},
    {"traceparent", put_traceparent, get_traceparent, "W3C Trace Context, version 00"},
    [FIELD_TIMES] = {"times", put_times, get_times, "five numbers of Unix nanoseconds"},
    {"digest", put_digest, get_digest, "64 hexadecimal digits"},
    {"signer", put_signer, get_signer, "1 to 23 of A-Z a-z 0-9 . _ -"},
    [FIELD_SIGNATURE] = {"signature", put_signature, get_signature, "64 hexadecimal digits"},
};
