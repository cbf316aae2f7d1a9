/* Writes signed messages, one JSON object a line, for verify.js: N of them (default 10,000), bodies
 * of every size and kind of byte, one to three secrets in rotation, one of them expired. With v1a
 * as second argument two of three secrets are Ed25519 seeds, told by their public keys. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "schemas/webhook.h"
#include <stdio.h>
#include <stdlib.h>

#define NOW_S INT64_C(1790000000)

static struct rnd rnd;
static struct err err;

static uint64_t dice(uint64_t sides)
{
    uint64_t number;

    rnd_fill(&rnd, &number, sizeof number);
    return number % sides;
}

static void make_body(struct buf *body, uint64_t number)
{
    size_t len = (size_t)dice(number % 100 == 0 ? WEBHOOK_BODY_MAX : 1500);

    buf_clear(body);
    if (number % 7 == 0)
        return; /* an empty one */
    buf_printf(body, "{\"type\":\"submission.completed\",\"n\":%llu,\"data\":\"",
               (unsigned long long)number);
    for (size_t i = 0; i < len; i++) { /* valid UTF-8 of one to four bytes */
        static const char *const signs[] = {
            "a", "9", " ", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", ".", ","};
        buf_puts(body, signs[dice(COUNT_OF(signs))]);
    }
    buf_puts(body, "\"}");
}

static void make_secrets(struct webhook_endpoint *doc, uint64_t number, bool asymmetric)
{
    *doc = (struct webhook_endpoint){.secret_count = 1 + number % 3};
    for (size_t i = 0; i < doc->secret_count; i++) {
        bool seed = asymmetric && (number / 3 + i) % 3 != 2;
        webhook_secret_make(seed ? WEBHOOK_V1A : WEBHOOK_V1, &rnd, 1, &doc->secrets[i]);
        if (i > 0)
            doc->secrets[i].expires_ms = (NOW_S + (i == 1 ? 60 : -1)) * 1000;
    }
}

/* What a receiver has: the secret, or the public key. */
static const char *shown(const struct webhook_secret *secret)
{
    static char public[WEBHOOK_PUBLIC_TEXT];

    webhook_public_key(secret, public);
    return public[0] ? public : secret->text;
}

int main(int argc, char **argv)
{
    uint64_t count = 10000;
    struct webhook_endpoint *doc = calloc(1, sizeof *doc);
    struct buf body, signature;

    bool asymmetric = argc > 2 && strcmp(argv[2], "v1a") == 0;
    CHECK(doc && (argc < 2 || span_u64(span_text(argv[1]), &count) == 0));
    rnd = rnd_seeded(20260921);
    buf_init(&body, 4 * WEBHOOK_BODY_MAX + 200);
    buf_init(&signature, 4096);
    for (uint64_t n = 0; n < count; n++) {
        char id[UUID_TEXT], *text = malloc(BASE64_SIZE(body.max));
        struct uuid message = uuid_v7_at(NOW_S * 1000, &rnd);
        CHECK(text != NULL);
        make_secrets(doc, n, asymmetric);
        make_body(&body, n);
        buf_clear(&signature);
        uuid_format(&message, id);
        CHECK(webhook_sign(doc, NOW_S * 1000, &message, NOW_S, buf_span(&body), &signature, &err) ==
              0);
        base64_encode(body.data ? body.data : "", body.len, text);
        printf("{\"id\":\"%s\",\"timestamp\":\"%lld\",\"signature\":\"%s\",\"body\":\"%s\","
               "\"secrets\":[",
               id, (long long)NOW_S, buf_text(&signature), text);
        for (size_t i = 0; i < doc->secret_count; i++)
            printf("%s{\"text\":\"%s\",\"valid\":%s}", i ? "," : "", shown(&doc->secrets[i]),
                   i == 2 ? "false" : "true");
        puts("]}");
        free(text);
    }
    buf_done(&body);
    buf_done(&signature);
    free(doc);
    return 0;
}
