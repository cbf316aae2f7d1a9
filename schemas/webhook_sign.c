/* Secrets and signatures of Standard Webhooks 1.0 (webhook.h): pure, but for the randomness that
 * the caller hands in. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "schemas/webhook.h"
#include <inttypes.h>
#include <stdio.h>

#define HMAC_PREFIX "whsec_"
#define SEED_PREFIX "whsk_"
#define PUBLIC_PREFIX "whpk_"
#define MADE_BYTES 32
#define KEY_MIN 24
#define KEY_MAX 64
#define RAW_MIN 8
#define RAW_MAX 256

_Static_assert(sizeof PUBLIC_PREFIX - 1 + BASE64_SIZE(ED25519_PUBLIC_BYTES) <= WEBHOOK_PUBLIC_TEXT,
               "room for a public key");
_Static_assert(RAW_MAX < WEBHOOK_SECRET_TEXT, "room for a raw secret");

static bool has_prefix(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

void webhook_secret_make(enum webhook_algorithm algorithm, struct rnd *rnd, int64_t now_ms,
                         struct webhook_secret *out)
{
    uint8_t bytes[MADE_BYTES];
    char text[BASE64_SIZE(MADE_BYTES)];
    rnd_fill(rnd, bytes, sizeof bytes);
    base64_encode(bytes, sizeof bytes, text);
    *out = (struct webhook_secret){.created_ms = now_ms};
    snprintf(out->text, sizeof out->text, "%s%s",
             algorithm == WEBHOOK_V1A ? SEED_PREFIX : HMAC_PREFIX, text);
    wipe(bytes, sizeof bytes);
    wipe(text, sizeof text);
}

const char *webhook_secret_refuse(struct span text, bool raw_allowed)
{
    const unsigned char *at = text.data;
    if (has_prefix(text, HMAC_PREFIX)) {
        uint8_t bytes[KEY_MAX];
        size_t skip = strlen(HMAC_PREFIX), len = sizeof bytes;
        bool good = base64_decode(span_of(at + skip, text.len - skip), bytes, &len) == 0 &&
                    len >= KEY_MIN && len <= KEY_MAX;
        wipe(bytes, sizeof bytes);
        return good ? NULL : "must be whsec_ and the base64 of 24 to 64 bytes";
    }
    if (has_prefix(text, SEED_PREFIX) || has_prefix(text, PUBLIC_PREFIX))
        return "must not be a key of another kind: whsk_ and whpk_ are made here";
    if (!raw_allowed)
        return "must be whsec_ and the base64 of 24 to 64 bytes";
    if (text.len < RAW_MIN || text.len > RAW_MAX)
        return "must have 8 to 256 characters";
    for (size_t i = 0; i < text.len; i++)
        if (at[i] < 0x20 || at[i] > 0x7e)
            return "must be printable ASCII";
    return NULL;
}

enum webhook_algorithm webhook_secret_algorithm(const struct webhook_secret *secret)
{
    return has_prefix(span_text(secret->text), SEED_PREFIX) ? WEBHOOK_V1A : WEBHOOK_V1;
}

static bool seed_of(const struct webhook_secret *secret, uint8_t seed[ED25519_SEED_BYTES])
{
    size_t len = ED25519_SEED_BYTES;
    return webhook_secret_algorithm(secret) == WEBHOOK_V1A &&
           base64_decode(span_text(secret->text + strlen(SEED_PREFIX)), seed, &len) == 0 &&
           len == ED25519_SEED_BYTES;
}

void webhook_public_key(const struct webhook_secret *secret, char out[WEBHOOK_PUBLIC_TEXT])
{
    uint8_t seed[ED25519_SEED_BYTES], public[ED25519_PUBLIC_BYTES];
    out[0] = '\0';
    if (!seed_of(secret, seed))
        return;
    ed25519_public(seed, public);
    memcpy(out, PUBLIC_PREFIX, sizeof PUBLIC_PREFIX);
    base64_encode(public, sizeof public, out + strlen(PUBLIC_PREFIX));
    wipe(seed, sizeof seed);
}

static bool in_force(const struct webhook_secret *secret, int64_t now_ms)
{
    return secret->expires_ms == 0 || secret->expires_ms > now_ms;
}

int webhook_rotate(struct webhook_endpoint *doc, const struct webhook_secret *fresh, int64_t now_ms,
                   struct err *err)
{
    struct webhook_secret kept[WEBHOOK_SECRETS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < doc->secret_count; i++)
        if (in_force(&doc->secrets[i], now_ms))
            kept[count++] = doc->secrets[i];
    if (count == WEBHOOK_SECRETS_MAX) {
        wipe(kept, sizeof kept);
        return err_set(err, ERR_CONFLICT,
                       "%d secrets are in force; the oldest expires within a day: rotate then",
                       WEBHOOK_SECRETS_MAX);
    }
    wipe(doc->secrets, sizeof doc->secrets);
    doc->secrets[0] = *fresh;
    for (size_t i = 0; i < count; i++) {
        doc->secrets[i + 1] = kept[i];
        if (kept[i].expires_ms == 0)
            doc->secrets[i + 1].expires_ms = now_ms + WEBHOOK_ROTATION_MS;
    }
    doc->secret_count = count + 1;
    wipe(kept, sizeof kept);
    return 0;
}

static int sign_hmac(const struct webhook_secret *secret, const struct span *parts, size_t count,
                     uint8_t out[SHA256_BYTES], struct err *err)
{
    uint8_t bytes[KEY_MAX];
    struct span key = span_text(secret->text);
    if (has_prefix(key, HMAC_PREFIX)) {
        size_t skip = strlen(HMAC_PREFIX), len = sizeof bytes;
        if (base64_decode(span_of(secret->text + skip, key.len - skip), bytes, &len))
            return err_set(err, ERR_CORRUPT, "webhook secret: malformed");
        key = span_of(bytes, len);
    }
    hmac_sha256_parts(key, parts, count, out);
    wipe(bytes, sizeof bytes);
    return 0;
}

static int sign_one(const struct webhook_secret *secret, struct span head, struct span body,
                    struct buf *out, struct err *err)
{
    uint8_t seed[ED25519_SEED_BYTES], signature[ED25519_SIGNATURE_BYTES];
    char text[BASE64_SIZE(ED25519_SIGNATURE_BYTES)];
    if (webhook_secret_algorithm(secret) == WEBHOOK_V1) {
        struct span parts[] = {head, body};
        if (sign_hmac(secret, parts, COUNT_OF(parts), signature, err))
            return -1;
        base64_encode(signature, SHA256_BYTES, text);
        buf_printf(out, "v1,%s", text);
        return 0;
    }
    struct buf BUF_AUTO whole = {.max = head.len + body.len};
    buf_add(&whole, head.data, head.len);
    buf_add(&whole, body.data, body.len);
    if (whole.failed)
        return err_set(err, ERR_NO_MEMORY, "webhook signature");
    if (!seed_of(secret, seed))
        return err_set(err, ERR_CORRUPT, "webhook secret: malformed");
    ed25519_sign(seed, buf_span(&whole), signature);
    wipe(seed, sizeof seed);
    base64_encode(signature, sizeof signature, text);
    buf_printf(out, "v1a,%s", text);
    return 0;
}

int webhook_sign(const struct webhook_endpoint *doc, int64_t now_ms, const struct uuid *message,
                 int64_t timestamp_s, struct span body, struct buf *out, struct err *err)
{
    char head[UUID_TEXT + 32], id[UUID_TEXT];
    const char *space = "";
    uuid_format(message, id);
    snprintf(head, sizeof head, "%s.%" PRId64 ".", id, timestamp_s);
    for (size_t i = 0; i < doc->secret_count; i++) {
        if (!in_force(&doc->secrets[i], now_ms))
            continue;
        buf_puts(out, space);
        if (sign_one(&doc->secrets[i], span_text(head), body, out, err))
            return -1;
        space = " ";
    }
    if (out->failed)
        return err_set(err, ERR_TOO_LARGE, "webhook signature: the buffer is full");
    return *space || doc->secret_count == 0
               ? 0
               : err_set(err, ERR_CORRUPT, "webhook signature: no secret is in force");
}
