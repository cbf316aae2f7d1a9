/* AES-256-GCM with the nonce in front of the ciphertext. */
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include <openssl/evp.h>

#define AEAD_MAX ((size_t)1 << 30) /* lengths are int in this interface of libcrypto */

static EVP_CIPHER_CTX *context(void)
{
    static _Thread_local EVP_CIPHER_CTX *kept;
    if (!kept) {
        kept = EVP_CIPHER_CTX_new();
        CHECK(kept);
        CHECK(EVP_CipherInit_ex(kept, EVP_aes_256_gcm(), NULL, NULL, NULL, 1) == 1);
    }
    return kept;
}

/* Puts a key of zeros in place, so that the context does not keep one. */
static void forget_key(EVP_CIPHER_CTX *ctx)
{
    static const uint8_t zeros[KEY_BYTES];
    EVP_CipherInit_ex(ctx, NULL, NULL, zeros, NULL, 1);
}

int aead_seal(const uint8_t key[KEY_BYTES], struct rnd *rnd, struct span aad, struct span plain,
              struct buf *out, struct err *err)
{
    uint8_t *sealed = NULL;
    if (aad.len < AEAD_MAX && plain.len < AEAD_MAX)
        sealed = buf_reserve(out, plain.len + AEAD_OVERHEAD);
    if (!sealed)
        return err_set(err, ERR_TOO_LARGE, "no room for %zu sealed bytes", plain.len);
    EVP_CIPHER_CTX *ctx = context();
    int len = 0;
    rnd_fill(rnd, sealed, AEAD_NONCE_BYTES);
    uint8_t *body = sealed + AEAD_NONCE_BYTES;
    bool good = EVP_CipherInit_ex(ctx, NULL, NULL, key, sealed, 1) == 1;
    if (good && aad.len > 0)
        good = EVP_CipherUpdate(ctx, NULL, &len, aad.data, (int)aad.len) == 1;
    if (good && plain.len > 0)
        good = EVP_CipherUpdate(ctx, body, &len, plain.data, (int)plain.len) == 1;
    good = good && EVP_CipherFinal_ex(ctx, body + plain.len, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, body + plain.len) == 1;
    forget_key(ctx);
    CHECK(good);
    buf_grow(out, plain.len + AEAD_OVERHEAD);
    return 0;
}

int aead_open(const uint8_t key[KEY_BYTES], struct span aad, struct span sealed, struct buf *out,
              struct err *err)
{
    if (sealed.len < AEAD_OVERHEAD || sealed.len >= AEAD_MAX || aad.len >= AEAD_MAX)
        return err_set(err, ERR_CORRUPT, "%zu sealed bytes cannot be opened", sealed.len);
    size_t plain_len = sealed.len - AEAD_OVERHEAD;
    const uint8_t *nonce = sealed.data, *body = nonce + AEAD_NONCE_BYTES;
    uint8_t tag[AEAD_TAG_BYTES], spare[16];
    memcpy(tag, body + plain_len, sizeof tag);
    uint8_t *plain = buf_reserve(out, plain_len);
    if (!plain)
        return err_set(err, ERR_TOO_LARGE, "no room for %zu opened bytes", plain_len);
    EVP_CIPHER_CTX *ctx = context();
    int len = 0;
    bool ready = EVP_CipherInit_ex(ctx, NULL, NULL, key, nonce, 0) == 1;
    if (ready && aad.len > 0)
        ready = EVP_CipherUpdate(ctx, NULL, &len, aad.data, (int)aad.len) == 1;
    if (ready && plain_len > 0)
        ready = EVP_CipherUpdate(ctx, plain, &len, body, (int)plain_len) == 1;
    ready = ready && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) == 1;
    CHECK(ready);
    bool genuine = EVP_CipherFinal_ex(ctx, spare, &len) == 1;
    forget_key(ctx);
    if (!genuine) {
        wipe(plain, plain_len);
        return err_set(err, ERR_CORRUPT, "the tag of %zu sealed bytes is wrong", sealed.len);
    }
    buf_grow(out, plain_len);
    return 0;
}
