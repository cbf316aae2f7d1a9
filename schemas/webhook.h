/* Webhooks between gateway, relay, deliver and persist: keys and ids, the sealed endpoint document,
 * signatures, the attempt record.
 *
 * An endpoint's document (URL, secrets) is sealed under a key of its own, derived from the
 * installation's webhooks secret ([secrets] webhooks_file), in PostgreSQL and in Kafka alike. Both
 * JSON forms are written by the system itself: cJSON. Nothing here logs. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/crypto/crypto.h"
#include "schemas/envelope.h"

#define WEBHOOK_URL_MAX 2048           /* bytes */
#define WEBHOOK_DESCRIPTION_MAX 400    /* bytes */
#define WEBHOOK_SECRET_TEXT 264        /* with NUL */
#define WEBHOOK_SECRETS_MAX 5          /* of an endpoint at one time */
#define WEBHOOK_ROTATION_MS 86400000   /* how long an old secret goes on signing */
#define WEBHOOK_BODY_MAX (20 * 1024)   /* bytes of an HTTP body */
#define WEBHOOK_SEALED_MAX (16 * 1024) /* bytes of a sealed document */

/* ---- keys and ids ---- */
void webhook_endpoint_key(const uint8_t secret[KEY_BYTES], const struct uuid *project,
                          const struct uuid *endpoint, uint8_t out[KEY_BYTES]);
/* webhook-id: the same after every replay (delivery.md rule 28); UUID version 8. `subject` is the
 * submission, or what stands in its place. */
struct uuid webhook_message_id(const uint8_t secret[KEY_BYTES], const struct uuid *subject,
                               enum webhook_event event, const struct uuid *endpoint);

/* The endpoint that a submission brings along: the same after every replay. */
struct uuid webhook_submission_endpoint(const uint8_t secret[KEY_BYTES],
                                        const struct uuid *submission);

/* ---- the endpoint's document ---- */
enum webhook_format { WEBHOOK_STANDARD, WEBHOOK_BARE }; /* bare: the result body alone, as v1 did */
enum webhook_algorithm { WEBHOOK_V1, WEBHOOK_V1A };     /* HMAC-SHA-256, Ed25519 */

struct webhook_secret {
    /* whsec_ and base64: HMAC with the decoded bytes; whsk_ and base64 of the seed: Ed25519; any
     * other text: HMAC with its own bytes, only in one-submission endpoints. */
    char text[WEBHOOK_SECRET_TEXT];
    int64_t created_ms;
    int64_t expires_ms; /* 0 = in force */
};
struct webhook_endpoint {
    char url[WEBHOOK_URL_MAX + 1];
    char description[WEBHOOK_DESCRIPTION_MAX + 1];
    enum webhook_format format;
    bool disabled; /* told by relay from the row; in the row itself it says nothing */
    size_t secret_count; /* 0: a one-submission endpoint that brought none, told unsigned */
    struct webhook_secret secrets[WEBHOOK_SECRETS_MAX]; /* newest first */
};

/* Appends the sealed document. */
int webhook_endpoint_seal(const uint8_t secret[KEY_BYTES], struct rnd *rnd,
                          const struct uuid *project, const struct uuid *endpoint,
                          const struct webhook_endpoint *doc, struct buf *out,
                          struct err *err) MUST_CHECK;
/* ERR_CORRUPT: other key, ids or bytes. The caller wipes *out (webhook_endpoint_wipe). */
int webhook_endpoint_open(const uint8_t secret[KEY_BYTES], const struct uuid *project,
                          const struct uuid *endpoint, struct span sealed,
                          struct webhook_endpoint *out, struct err *err) MUST_CHECK;
void webhook_endpoint_wipe(struct webhook_endpoint *doc);
/* AEAD of a message's body without data key: AAD is envelope_aad(env, RECORD_webhook). */
int webhook_body_seal(const uint8_t secret[KEY_BYTES], struct rnd *rnd, const struct envelope *env,
                      struct span body, struct buf *out, struct err *err) MUST_CHECK;
int webhook_body_open(const uint8_t secret[KEY_BYTES], const struct envelope *env,
                      struct span sealed, struct buf *out, struct err *err) MUST_CHECK;

/* ---- the HTTP body (webhook_body.c): what relay renders once, and nobody changes ---- */
/* Of a submission's event, from a verdict's payload; `id_shown` is the alias's own for an alias.
 * Appends at most WEBHOOK_BODY_MAX bytes. bare: the result body alone. */
int webhook_body_result(enum webhook_event event, struct span payload, const struct uuid *id_shown,
                        bool bare, struct buf *out, struct err *err) MUST_CHECK;
/* Of any other event: data is JSON. */
int webhook_body_data(enum webhook_event event, int64_t at_ns, struct span data, struct buf *out,
                      struct err *err) MUST_CHECK;

/* ---- secrets and signatures (webhook_sign.c) ---- */
/* A new whsec_ or whsk_ text. */
void webhook_secret_make(enum webhook_algorithm algorithm, struct rnd *rnd, int64_t now_ms,
                         struct webhook_secret *out);
/* A caller's text: whsec_ must hold 24 to 64 bytes in base64; `raw_allowed`: 8 to 256 printable
 * ASCII characters of any other kind. NULL, or the rule that it breaks. */
const char *webhook_secret_refuse(struct span text, bool raw_allowed);
enum webhook_algorithm webhook_secret_algorithm(const struct webhook_secret *secret);
#define WEBHOOK_PUBLIC_TEXT 56
/* "whpk_..." of a whsk_ secret; "" of any other. */
void webhook_public_key(const struct webhook_secret *secret, char out[WEBHOOK_PUBLIC_TEXT]);
/* The newest first; the one before expires WEBHOOK_ROTATION_MS from now, expired ones go.
 * ERR_CONFLICT: WEBHOOK_SECRETS_MAX of them are still in force. */
int webhook_rotate(struct webhook_endpoint *doc, const struct webhook_secret *fresh, int64_t now_ms,
                   struct err *err) MUST_CHECK;
/* Appends the value of webhook-signature: one signature for each secret that has not expired,
 * newest first; nothing for an endpoint without any. */
int webhook_sign(const struct webhook_endpoint *doc, int64_t now_ms, const struct uuid *message,
                 int64_t timestamp_s, struct span body, struct buf *out,
                 struct err *err) MUST_CHECK;

/* ---- the attempt record (webhook_attempt.c) ---- */
enum attempt_error { /* schemas/attempt_errors.def */
#define ATTEMPT_ERROR(name, ...) ATTEMPT_##name,
#include "schemas/attempt_errors.def"
#undef ATTEMPT_ERROR
                     ATTEMPT_ERROR_COUNT
};
/* parked: not tried, moved on to a delay topic; it is no attempt, persist keeps no row of it. */
enum attempt_outcome {
    OUTCOME_DELIVERED,
    OUTCOME_RETRY,
    OUTCOME_DEAD,
    OUTCOME_DROPPED,
    OUTCOME_PARKED
};

#define ATTEMPT_ADDRESS 46
#define ATTEMPT_REASON 96
struct webhook_attempt {
    enum topic source; /* the webhook record that was tried */
    int32_t source_partition;
    int64_t source_offset;
    int64_t at_ms;
    char address[ATTEMPT_ADDRESS]; /* "" = none was reached */
    uint16_t port;
    uint16_t status; /* HTTP; 0 = none */
    enum attempt_error error;
    int64_t latency_us;
    enum attempt_outcome outcome;
    int64_t next_due_ms;   /* of retry and parked */
    bool disable_endpoint; /* 410 */
    char
        reason[ATTEMPT_REASON]; /* of disable_endpoint: a plain sentence of ours, no foreign text */
};
#define ATTEMPT_BYTES_MAX 1024 /* of its JSON */

int webhook_attempt_encode(const struct webhook_attempt *attempt, struct buf *out,
                           struct err *err) MUST_CHECK;
int webhook_attempt_decode(struct span json, struct webhook_attempt *out,
                           struct err *err) MUST_CHECK; /* ERR_CORRUPT */
const char *attempt_error_name(enum attempt_error error);
const char *attempt_error_text(enum attempt_error error); /* a sentence for people */
const char *attempt_outcome_name(enum attempt_outcome outcome);
