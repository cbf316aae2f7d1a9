/* The tree of record keys; crypto.h describes it. */
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include <openssl/evp.h>

uint64_t tree_path(const struct uuid *submission)
{
    uint8_t digest[SHA256_BYTES];
    sha256(span_of(submission->bytes, sizeof submission->bytes), digest);
    uint64_t path = 0;
    for (int i = 0; i < 8; i++)
        path = path << 8 | digest[i];
    return path;
}

static EVP_CIPHER_CTX *context(void)
{
    static _Thread_local EVP_CIPHER_CTX *kept;
    if (!kept) {
        kept = EVP_CIPHER_CTX_new();
        CHECK(kept);
        CHECK(EVP_EncryptInit_ex(kept, EVP_aes_256_ecb(), NULL, NULL, NULL) == 1);
        CHECK(EVP_CIPHER_CTX_set_padding(kept, 0) == 1);
    }
    return kept;
}

void tree_descend(const uint8_t node[KEY_BYTES], unsigned depth, uint64_t path, unsigned to_depth,
                  uint8_t out[KEY_BYTES])
{
    CHECK(depth <= to_depth && to_depth <= TREE_DEPTH);
    EVP_CIPHER_CTX *ctx = context();
    uint8_t key[KEY_BYTES], blocks[KEY_BYTES] = {0};
    memcpy(key, node, sizeof key);
    for (; depth < to_depth; depth++) {
        uint8_t bit = (uint8_t)(path >> (TREE_DEPTH - 1 - depth) & 1);
        int len = 0;
        blocks[15] = (uint8_t)(2 * bit);
        blocks[31] = (uint8_t)(2 * bit + 1);
        CHECK(EVP_EncryptInit_ex(ctx, NULL, NULL, key, NULL) == 1);
        CHECK(EVP_EncryptUpdate(ctx, key, &len, blocks, sizeof blocks) == 1 && len == sizeof key);
    }
    memcpy(out, key, sizeof key);
    wipe(key, sizeof key);
    static const uint8_t zeros[KEY_BYTES];
    EVP_EncryptInit_ex(ctx, NULL, NULL, zeros, NULL); /* the context keeps no key */
}
