/* The clear envelope: what every record says of itself in Kafka headers, and nothing personal.
 *
 * One header per field, text values (table in schemas/README.md): type "submission/1", id, day,
 * project, key (data-key id "30-4f3a..."), key-hash, fingerprint, language, lane, attempt,
 * not-before, origin, policy, traceparent, times, digest, signature; webhooks, their attempts and
 * endpoints have endpoint, event, message and generation as well. Absent optional fields have no
 * header. The digest is SHA-256 of the value; the signature is HMAC-SHA-256 over all other headers
 * in table order. Unknown headers are ignored; a repeated or malformed one makes the record
 * unreadable (ERR_CORRUPT). */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "schemas/languages.h"
#include "schemas/topics.h"

enum record_type { /* names in schemas/records.def */
#define RECORD(name, ...) RECORD_##name,
#include "schemas/records.def"
#undef RECORD
                   RECORD_COUNT
};

/* What a webhook tells of: names in schemas/webhook_events.def. */
enum webhook_event {
#define WEBHOOK_EVENT(name, ...) WEBHOOK_EVENT_##name,
#include "schemas/webhook_events.def"
#undef WEBHOOK_EVENT
    WEBHOOK_EVENT_COUNT
};

enum lane { LANE_INTERACTIVE, LANE_BATCH };

/* Times of the submission's way so far: Unix nanoseconds, 0 = not yet. */
struct stage_times {
    int64_t received, produced, validated, admitted, dequeued;
};

#define TRACEPARENT_TEXT 56
struct envelope {
    enum record_type type;
    uint16_t version;
    struct uuid id; /* submission id; its day is the submission's day */
    struct uuid project;
    uint16_t retention_class; /* days; with key_number: the data key's id. A webhook of class 0 has
                                 none: it is sealed under its endpoint's key */
    uint64_t key_number;
    bool keyed; /* an Idempotency-Key was given: the next two count */
    uint8_t key_hash[32], fingerprint[32];
    enum language language;
    enum profile profile;
    enum lane lane;
    struct uuid endpoint;     /* of a webhook and its attempt; an endpoint is its record's id */
    enum webhook_event event; /* of a webhook and its attempt */
    struct uuid message;      /* of a webhook and its attempt: the webhook-id */
    uint32_t generation;      /* times it was asked for again; of an endpoint: its version */
    uint32_t attempt;
    int64_t not_before_ms;
    char origin[16];                    /* "api", "cli", "admit", "relay", ... */
    char policy[16];                    /* privacy policy version in force */
    char traceparent[TRACEPARENT_TEXT]; /* "" = none; W3C Trace Context, version 00 */
    struct stage_times times;
    uint8_t digest[32]; /* of the value as sent */
    bool is_signed;
    char signer[24]; /* grant id; "gateway" */
    uint8_t signature[32];
};

struct header {
    const char *name;
    struct span value;
};
#define ENVELOPE_HEADERS_MAX 32

/* Renders into headers[] with values in arena; returns the count, 0 when the arena is full. A
 * record of type probe carries its type alone; language, profile, lane, key and times belong to the
 * four types that speak of a submission. */
size_t envelope_encode(const struct envelope *env, struct arena *arena,
                       struct header headers[ENVELOPE_HEADERS_MAX]);
/* ERR_CORRUPT names the header and its rule; *out then holds what could be read (the rest is zero;
 * type is RECORD_COUNT when unknown). A record without a readable id sets *has_id = false. Each
 * value must be in the one text that envelope_encode writes. */
int envelope_decode(const struct header *headers, size_t count, struct envelope *out, bool *has_id,
                    struct err *err) MUST_CHECK;
/* What the signature covers: every header but the signature itself, as "name=value\n" in table
 * order. Set signer before. */
int envelope_signed_text(const struct envelope *env, struct buf *out, struct err *err) MUST_CHECK;
/* AAD of a value: binds content type (submission, verdict or webhook), id, project, day. A job
 * carries the submission's value unchanged, so its content type is submission. */
void envelope_aad(const struct envelope *env, enum record_type content, struct buf *out);
const char *record_name(enum record_type type);
bool traceparent_valid(struct span text); /* W3C Trace Context, version 00, ids not all zero */
const char *webhook_event_name(enum webhook_event event); /* "submission.completed" */
bool webhook_event_subscribable(enum webhook_event event);
int webhook_event_find(struct span name, enum webhook_event *out) MUST_CHECK;
/* The record's key: the endpoint of a webhook and its attempt, else the id. */
void envelope_key(const struct envelope *env, char out[UUID_TEXT]);
/* Where this record goes in `topic`, by the rules of topics.h. Not for webhooks.retry.*, whose
 * partition is the step of the delay, chosen by deliver. */
int32_t envelope_partition(const struct envelope *env, enum topic topic);
