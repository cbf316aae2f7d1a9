/* The endpoint document (webhook.h) as deliver and the gateway read it: the input is the plain
 * text, sealed here as its own key would have it. What opens survives a round trip, and neither
 * signing nor rotation stumbles over any secret. */
#include "schemas/webhook.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t secret[KEY_BYTES] = {7};
static const struct uuid project = {{1}}, endpoint = {{2}};
static struct rnd rnd;

static void seal(struct span plain, struct buf *out)
{
    uint8_t key[KEY_BYTES];
    struct err err;
    BUF_AUTO struct buf aad = {.max = 64};
    buf_puts(&aad, "endpoint/1");
    buf_add(&aad, project.bytes, sizeof project.bytes);
    buf_add(&aad, endpoint.bytes, sizeof endpoint.bytes);
    webhook_endpoint_key(secret, &project, &endpoint, key);
    CHECK(aead_seal(key, &rnd, buf_span(&aad), plain, out, &err) == 0);
}

static bool same(const struct webhook_endpoint *a, const struct webhook_endpoint *b)
{
    if (strcmp(a->url, b->url) != 0 || strcmp(a->description, b->description) != 0 ||
        a->format != b->format || a->disabled != b->disabled || a->secret_count != b->secret_count)
        return false;
    for (size_t i = 0; i < a->secret_count; i++)
        if (strcmp(a->secrets[i].text, b->secrets[i].text) != 0 ||
            a->secrets[i].created_ms != b->secrets[i].created_ms ||
            a->secrets[i].expires_ms != b->secrets[i].expires_ms)
            return false;
    return true;
}

static void use(struct webhook_endpoint *doc)
{
    struct err err;
    char public[WEBHOOK_PUBLIC_TEXT];
    struct webhook_secret fresh;
    BUF_AUTO struct buf signature = {.max = 4096};
    size_t before = doc->secret_count;
    if (webhook_sign(doc, 1000, &project, 1, SPAN_LIT("{}"), &signature, &err))
        check_error(&err);
    else
        CHECK(before == 0 || signature.len > 4);
    for (size_t i = 0; i < before; i++) {
        webhook_public_key(&doc->secrets[i], public);
        CHECK(public[0] == '\0' || strncmp(public, "whpk_", 5) == 0);
    }
    webhook_secret_make(WEBHOOK_V1A, &rnd, 1000, &fresh);
    if (webhook_rotate(doc, &fresh, 1000, &err)) {
        check_error(&err);
        return;
    }
    CHECK(doc->secret_count >= 1 && doc->secret_count <= before + 1);
    CHECK(doc->secret_count <= WEBHOOK_SECRETS_MAX && doc->secrets[0].expires_ms == 0);
    for (size_t i = 1; i < doc->secret_count; i++)
        CHECK(doc->secrets[i].expires_ms > 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct webhook_endpoint doc, back;
    struct err err = {.code = ERR_NONE};
    BUF_AUTO struct buf sealed = {.max = WEBHOOK_SEALED_MAX}, again = {.max = WEBHOOK_SEALED_MAX};
    rnd = rnd_seeded(1);
    if (size > WEBHOOK_SEALED_MAX - AEAD_OVERHEAD)
        return 0;
    seal(span_of(data, size), &sealed);
    if (webhook_endpoint_open(secret, &project, &endpoint, buf_span(&sealed), &doc, &err)) {
        check_error(&err);
        CHECK(err.code == ERR_CORRUPT);
        return 0;
    }
    CHECK(doc.url[0] && doc.secret_count <= WEBHOOK_SECRETS_MAX);
    if (webhook_endpoint_seal(secret, &rnd, &project, &endpoint, &doc, &again, &err) == 0) {
        CHECK(webhook_endpoint_open(secret, &project, &endpoint, buf_span(&again), &back, &err) ==
              0);
        CHECK(same(&doc, &back));
    } else
        CHECK(err.code == ERR_TOO_LARGE); /* longer in our own spelling */
    use(&doc);
    return 0;
}
