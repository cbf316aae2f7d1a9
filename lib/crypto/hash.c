/* SHA-256 and HMAC-SHA-256 over kept contexts, comparison in constant time, wiping. */
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

void sha256_parts(const struct span *parts, size_t count, uint8_t out[SHA256_BYTES])
{
    static _Thread_local EVP_MD_CTX *ctx;
    static _Thread_local EVP_MD *digest; /* fetched once: EVP_sha256() looks it up at each init */
    if (!ctx) {
        ctx = EVP_MD_CTX_new();
        digest = EVP_MD_fetch(NULL, "SHA256", NULL);
        CHECK(ctx && digest);
    }
    CHECK(EVP_DigestInit_ex2(ctx, digest, NULL) == 1);
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0)
            CHECK(EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1);
    CHECK(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

void sha256(struct span data, uint8_t out[SHA256_BYTES])
{
    sha256_parts(&data, 1, out);
}

void hmac_sha256_parts(struct span key, const struct span *parts, size_t count,
                       uint8_t out[SHA256_BYTES])
{
    static _Thread_local EVP_MAC_CTX *ctx;
    static const uint8_t empty[1];
    if (!ctx) {
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        CHECK(mac);
        ctx = EVP_MAC_CTX_new(mac);
        EVP_MAC_free(mac);
        CHECK(ctx);
        char name[] = "SHA256";
        OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                               OSSL_PARAM_construct_end()};
        CHECK(EVP_MAC_CTX_set_params(ctx, params) == 1);
    }
    /* An empty key would mean "keep the last one": a pointer to no bytes is a key. */
    CHECK(EVP_MAC_init(ctx, key.len > 0 ? key.data : empty, key.len, NULL) == 1);
    for (size_t i = 0; i < count; i++)
        if (parts[i].len > 0)
            CHECK(EVP_MAC_update(ctx, parts[i].data, parts[i].len) == 1);
    size_t len = 0;
    CHECK(EVP_MAC_final(ctx, out, &len, SHA256_BYTES) == 1 && len == SHA256_BYTES);
}

void hmac_sha256(struct span key, struct span data, uint8_t out[SHA256_BYTES])
{
    hmac_sha256_parts(key, &data, 1, out);
}

bool equal_ct(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void wipe(void *data, size_t len)
{
    if (len > 0)
        OPENSSL_cleanse(data, len);
}

void wipe_buf(struct buf *buf)
{
    wipe(buf->data, buf->cap);
    buf_done(buf);
}
