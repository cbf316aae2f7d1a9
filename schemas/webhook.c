/* Keys, ids and the sealed endpoint document (webhook.h). */
#include "schemas/webhook.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#define DOCUMENT_MAX (WEBHOOK_SEALED_MAX - AEAD_OVERHEAD)

void webhook_endpoint_key(const uint8_t secret[KEY_BYTES], const struct uuid *project,
                          const struct uuid *endpoint, uint8_t out[KEY_BYTES])
{
    struct span parts[] = {SPAN_LIT("endpoint"), span_of(project->bytes, sizeof project->bytes),
                           span_of(endpoint->bytes, sizeof endpoint->bytes)};
    hmac_sha256_parts(span_of(secret, KEY_BYTES), parts, COUNT_OF(parts), out);
}

struct uuid webhook_message_id(const uint8_t secret[KEY_BYTES], const struct uuid *subject,
                               enum webhook_event event, const struct uuid *endpoint)
{
    uint8_t mac[SHA256_BYTES];
    struct uuid id;
    struct span parts[] = {SPAN_LIT("message"), span_of(subject->bytes, sizeof subject->bytes),
                           span_text(webhook_event_name(event)), span_of("", 1),
                           span_of(endpoint->bytes, sizeof endpoint->bytes)};
    hmac_sha256_parts(span_of(secret, KEY_BYTES), parts, COUNT_OF(parts), mac);
    memcpy(id.bytes, mac, sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x80);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

struct uuid webhook_submission_endpoint(const uint8_t secret[KEY_BYTES],
                                        const struct uuid *submission)
{
    uint8_t mac[SHA256_BYTES];
    struct uuid id = *submission; /* its time and its version stay */
    struct span parts[] = {SPAN_LIT("one-submission endpoint"),
                           span_of(submission->bytes, sizeof submission->bytes)};
    hmac_sha256_parts(span_of(secret, KEY_BYTES), parts, COUNT_OF(parts), mac);
    memcpy(id.bytes + 9, mac, 7);
    return id;
}

/* ---- the document ---- */

static void put_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\":", name);
    json_quote(span_text(text), out);
}

static void put_document(const struct webhook_endpoint *doc, struct buf *out)
{
    buf_puts(out, "{");
    put_text(out, "description", doc->description);
    buf_printf(out, ",\"disabled\":%s,\"format\":\"%s\",\"secrets\":[",
               doc->disabled ? "true" : "false", doc->format == WEBHOOK_BARE ? "bare" : "standard");
    for (size_t i = 0; i < doc->secret_count; i++) {
        const struct webhook_secret *secret = &doc->secrets[i];
        buf_printf(out, "%s{\"created\":%" PRId64 ",\"expires\":%" PRId64 ",", i > 0 ? "," : "",
                   secret->created_ms, secret->expires_ms);
        put_text(out, "secret", secret->text);
        buf_puts(out, "}");
    }
    buf_puts(out, "],");
    put_text(out, "url", doc->url);
    buf_puts(out, "}");
}

static int wrong(const char *name, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "endpoint document: %s is missing or malformed", name);
}

static bool take_text(const cJSON *json, const char *name, char *out, size_t size)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return text && span_copy(span_text(text), out, size) == 0;
}

/* Milliseconds: far below 2^53, where doubles are exact. */
static bool take_ms(const cJSON *json, const char *name, int64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > 9e15)
        return false;
    *out = (int64_t)item->valuedouble;
    return true;
}

static int take_document(const cJSON *json, struct webhook_endpoint *out, struct err *err)
{
    const cJSON *secrets = cJSON_GetObjectItemCaseSensitive(json, "secrets"), *item;
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(json, "format");
    const char *format_text = cJSON_GetStringValue(format);
    *out = (struct webhook_endpoint){
        .disabled = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "disabled"))};
    if (!take_text(json, "url", out->url, sizeof out->url) || out->url[0] == '\0')
        return wrong("url", err);
    if (!take_text(json, "description", out->description, sizeof out->description))
        return wrong("description", err);
    if (!format_text || (strcmp(format_text, "standard") != 0 && strcmp(format_text, "bare") != 0))
        return wrong("format", err);
    out->format = format_text[0] == 'b' ? WEBHOOK_BARE : WEBHOOK_STANDARD;
    if (!cJSON_IsArray(secrets))
        return wrong("secrets", err);
    cJSON_ArrayForEach(item, secrets)
    {
        if (out->secret_count == WEBHOOK_SECRETS_MAX)
            return wrong("secrets", err);
        struct webhook_secret *secret = &out->secrets[out->secret_count++];
        if (!take_text(item, "secret", secret->text, sizeof secret->text) ||
            !take_ms(item, "created", &secret->created_ms) ||
            !take_ms(item, "expires", &secret->expires_ms))
            return wrong("secrets", err);
    }
    return 0;
}

static void endpoint_aad(const struct uuid *project, const struct uuid *endpoint, struct buf *out)
{
    buf_puts(out, "endpoint/1");
    buf_add(out, project->bytes, sizeof project->bytes);
    buf_add(out, endpoint->bytes, sizeof endpoint->bytes);
}

int webhook_endpoint_seal(const uint8_t secret[KEY_BYTES], struct rnd *rnd,
                          const struct uuid *project, const struct uuid *endpoint,
                          const struct webhook_endpoint *doc, struct buf *out, struct err *err)
{
    uint8_t key[KEY_BYTES];
    struct buf BUF_AUTO aad = {.max = 64};
    struct buf plain = {.max = DOCUMENT_MAX};
    endpoint_aad(project, endpoint, &aad);
    put_document(doc, &plain);
    webhook_endpoint_key(secret, project, endpoint, key);
    int rc = plain.failed || aad.failed
                 ? err_set(err, ERR_TOO_LARGE, "endpoint document: above %d bytes", DOCUMENT_MAX)
                 : aead_seal(key, rnd, buf_span(&aad), buf_span(&plain), out, err);
    wipe(key, sizeof key);
    wipe_buf(&plain);
    return rc;
}

int webhook_endpoint_open(const uint8_t secret[KEY_BYTES], const struct uuid *project,
                          const struct uuid *endpoint, struct span sealed,
                          struct webhook_endpoint *out, struct err *err)
{
    uint8_t key[KEY_BYTES];
    struct buf BUF_AUTO aad = {.max = 64};
    struct buf plain = {.max = DOCUMENT_MAX};
    endpoint_aad(project, endpoint, &aad);
    webhook_endpoint_key(secret, project, endpoint, key);
    int rc = aead_open(key, buf_span(&aad), sealed, &plain, err);
    wipe(key, sizeof key);
    if (!rc) {
        cJSON *json = cJSON_ParseWithLength(plain.data, plain.len);
        rc = cJSON_IsObject(json) ? take_document(json, out, err) : wrong("the whole", err);
        cJSON_Delete(json);
    }
    wipe_buf(&plain);
    return rc;
}

void webhook_endpoint_wipe(struct webhook_endpoint *doc)
{
    wipe(doc, sizeof *doc);
}

/* ---- bodies without data key ---- */

int webhook_body_seal(const uint8_t secret[KEY_BYTES], struct rnd *rnd, const struct envelope *env,
                      struct span body, struct buf *out, struct err *err)
{
    uint8_t key[KEY_BYTES];
    struct buf BUF_AUTO aad = {.max = 256};
    envelope_aad(env, RECORD_webhook, &aad);
    webhook_endpoint_key(secret, &env->project, &env->endpoint, key);
    int rc = aead_seal(key, rnd, buf_span(&aad), body, out, err);
    wipe(key, sizeof key);
    return rc;
}

int webhook_body_open(const uint8_t secret[KEY_BYTES], const struct envelope *env,
                      struct span sealed, struct buf *out, struct err *err)
{
    uint8_t key[KEY_BYTES];
    struct buf BUF_AUTO aad = {.max = 256};
    envelope_aad(env, RECORD_webhook, &aad);
    webhook_endpoint_key(secret, &env->project, &env->endpoint, key);
    int rc = aead_open(key, buf_span(&aad), sealed, out, err);
    wipe(key, sizeof key);
    return rc;
}
