/* Cryptography, by OpenSSL's libcrypto alone: AES-256-GCM, SHA-256, HMAC-SHA-256, Ed25519 and the
 * record-key tree. Contexts are kept per thread and reused (a one-shot HMAC costs 1.7 us, a reused
 * one a third). Functions without error out-parameter abort when libcrypto itself cannot go on. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/rnd.h"
#include "lib/base/uuid.h"

#define SHA256_BYTES 32
#define KEY_BYTES 32
#define AEAD_NONCE_BYTES 12
#define AEAD_TAG_BYTES 16
#define AEAD_OVERHEAD (AEAD_NONCE_BYTES + AEAD_TAG_BYTES)

/* Appends nonce || ciphertext || tag. The nonce is 96 fresh random bits: execution may repeat under
 * the same key (delivery.md rule 21). ERR_TOO_LARGE when out is full. */
int aead_seal(const uint8_t key[KEY_BYTES], struct rnd *rnd, struct span aad, struct span plain,
              struct buf *out, struct err *err) MUST_CHECK;
/* Appends the plaintext; nothing on failure. ERR_CORRUPT: wrong key, AAD or bytes. */
int aead_open(const uint8_t key[KEY_BYTES], struct span aad, struct span sealed, struct buf *out,
              struct err *err) MUST_CHECK;

void sha256(struct span data, uint8_t out[SHA256_BYTES]);
void hmac_sha256(struct span key, struct span data, uint8_t out[SHA256_BYTES]);
/* The same over parts as if they stood in one piece; the caller frames them unambiguously. */
void sha256_parts(const struct span *parts, size_t count, uint8_t out[SHA256_BYTES]);
void hmac_sha256_parts(struct span key, const struct span *parts, size_t count,
                       uint8_t out[SHA256_BYTES]);
bool equal_ct(const void *a, const void *b, size_t len); /* time independent of the contents */
void wipe(void *data, size_t len);
void wipe_buf(struct buf *buf); /* wipes, then buf_done */

/* ---- Ed25519 (RFC 8032), for webhook signatures ---- */
#define ED25519_SEED_BYTES 32
#define ED25519_PUBLIC_BYTES 32
#define ED25519_SIGNATURE_BYTES 64
void ed25519_public(const uint8_t seed[ED25519_SEED_BYTES], uint8_t out[ED25519_PUBLIC_BYTES]);
void ed25519_sign(const uint8_t seed[ED25519_SEED_BYTES], struct span data,
                  uint8_t out[ED25519_SIGNATURE_BYTES]);

/* ---- the record-key tree: a puncturable function after Goldreich, Goldwasser and Micali ----
 *
 * A node is a 256-bit key K. Its child b (0 or 1) is AES-256(K, B(2b)) || AES-256(K, B(2b + 1)),
 * B(i) the block of 15 zero bytes and the byte i. A record's key is the leaf at depth 64 under the
 * root; its path, most significant bit first, is the first 8 bytes of SHA-256(the 16 bytes of the
 * submission id). Whoever holds the siblings along one path can derive every leaf but that one. */
#define TREE_DEPTH 64
uint64_t tree_path(const struct uuid *submission);
/* From a node at `depth` (0 = root) down the path's bits to `to_depth`. */
void tree_descend(const uint8_t node[KEY_BYTES], unsigned depth, uint64_t path, unsigned to_depth,
                  uint8_t out[KEY_BYTES]);
