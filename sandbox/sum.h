/* A quick 64-bit checksum of bytes. It finds damage and narrows a search down; it is no protection
 * against somebody who chooses the bytes, so nothing is ever taken to be equal because of it. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SUM_START UINT64_C(0x6a09e667f3bcc909)

/* Equal for equal bytes only when they are added in the same pieces. */
static inline uint64_t sum_add(uint64_t sum, const void *data, size_t len)
{
    const unsigned char *at = data;
    for (uint64_t word = 0; len > 0; at += sizeof word) {
        size_t n = len < sizeof word ? len : sizeof word;
        word = (uint64_t)n << 56; /* in a last, partial word: how much of it counts */
        memcpy(&word, at, n);
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
        len -= n;
    }
    return sum;
}
