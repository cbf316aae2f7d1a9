/* Ed25519 (RFC 8032) from a 32-byte seed: webhook signatures `v1a`. */
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include <openssl/evp.h>

static EVP_PKEY *key_of(const uint8_t seed[ED25519_SEED_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_BYTES);
    CHECK(key);
    return key;
}

void ed25519_public(const uint8_t seed[ED25519_SEED_BYTES], uint8_t out[ED25519_PUBLIC_BYTES])
{
    EVP_PKEY *key = key_of(seed);
    size_t len = ED25519_PUBLIC_BYTES;
    CHECK(EVP_PKEY_get_raw_public_key(key, out, &len) == 1 && len == ED25519_PUBLIC_BYTES);
    EVP_PKEY_free(key);
}

void ed25519_sign(const uint8_t seed[ED25519_SEED_BYTES], struct span data,
                  uint8_t out[ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY *key = key_of(seed);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = ED25519_SIGNATURE_BYTES;
    CHECK(ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1);
    CHECK(EVP_DigestSign(ctx, out, &len, data.data, data.len) == 1 &&
          len == ED25519_SIGNATURE_BYTES);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}
