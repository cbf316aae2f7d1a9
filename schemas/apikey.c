/* Making and checking the form of API keys. Knows nothing of projects or of what is stored. */
#include "schemas/apikey.h"
#include <stdio.h>

#define PREFIX_BYTES 8
#define RANDOM_BYTES 32
#define CHECKSUM_BYTES 6

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static uint32_t crc32_of(const char *text, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned char)text[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static void checksum(const char *key, char out[CHECKSUM_BYTES])
{
    uint32_t crc = crc32_of(key, PREFIX_BYTES + RANDOM_BYTES);
    for (int i = CHECKSUM_BYTES - 1; i >= 0; i--) {
        out[i] = digits[crc % 62];
        crc /= 62;
    }
}

void apikey_generate(struct rnd *rnd, bool test, char out[APIKEY_BYTES + 1])
{
    memcpy(out, test ? "rb_test_" : "rb_live_", PREFIX_BYTES);
    for (int i = 0; i < RANDOM_BYTES;) {
        uint8_t byte;
        rnd_fill(rnd, &byte, 1);
        if (byte < 248) /* 4 * 62: every digit equally likely */
            out[PREFIX_BYTES + i++] = digits[byte % 62];
    }
    checksum(out, out + PREFIX_BYTES + RANDOM_BYTES);
    out[APIKEY_BYTES] = '\0';
}

bool apikey_check(struct span text, bool *test)
{
    const char *key = text.data;
    char wanted[CHECKSUM_BYTES];
    if (text.len != APIKEY_BYTES)
        return false;
    bool is_test = memcmp(key, "rb_test_", PREFIX_BYTES) == 0;
    if (!is_test && memcmp(key, "rb_live_", PREFIX_BYTES) != 0)
        return false;
    for (size_t i = PREFIX_BYTES; i < APIKEY_BYTES; i++)
        if (key[i] == '\0' || !strchr(digits, key[i]))
            return false;
    checksum(key, wanted);
    if (memcmp(key + PREFIX_BYTES + RANDOM_BYTES, wanted, CHECKSUM_BYTES) != 0)
        return false;
    if (test)
        *test = is_test;
    return true;
}
