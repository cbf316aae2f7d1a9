/* Hex, base64 and JSON strings. Decoders are strict: one text for one value, so that two readers
 * never disagree about what was sent. */
#include "lib/base/enc.h"

void hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(struct span text, void *out, size_t out_len)
{
    const unsigned char *in = text.data;
    unsigned char *bytes = out;
    if (text.len != out_len * 2)
        return -1;
    for (size_t i = 0; i < text.len; i++)
        if (hex_digit(in[i]) < 0)
            return -1;
    for (size_t i = 0; i < out_len; i++)
        bytes[i] = (unsigned char)(hex_digit(in[2 * i]) << 4 | hex_digit(in[2 * i + 1]));
    return 0;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, char *out)
{
    const unsigned char *in = data;
    for (; len >= 3; len -= 3, in += 3) {
        *out++ = base64_digits[in[0] >> 2];
        *out++ = base64_digits[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = base64_digits[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = base64_digits[in[2] & 63];
    }
    if (len > 0) {
        unsigned second = len == 2 ? in[1] : 0u;
        *out++ = base64_digits[in[0] >> 2];
        *out++ = base64_digits[((unsigned)in[0] & 3) << 4 | second >> 4];
        *out++ = len == 2 ? base64_digits[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    *out = '\0';
}

static int base64_digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(struct span text, void *out, size_t *out_len)
{
    const unsigned char *in = text.data;
    unsigned char *bytes = out;
    if (text.len % 4 != 0)
        return -1;
    size_t padding = 0;
    if (text.len > 0)
        padding = in[text.len - 1] != '=' ? 0 : in[text.len - 2] != '=' ? 1 : 2;
    size_t need = text.len / 4 * 3 - padding, made = 0;
    if (need > *out_len)
        return -1;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = i < text.len - padding ? base64_digit(in[i]) : 0;
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8) {
            unsigned char byte = (unsigned char)(bits >> shift);
            if (made < need)
                bytes[made++] = byte;
            else if (byte != 0)
                return -1; /* bits that the padding says do not exist */
        }
        bits = 0;
    }
    *out_len = made;
    return 0;
}

void json_quote(struct span text, struct buf *out)
{
    const unsigned char *in = text.data;
    size_t start = 0;
    buf_add(out, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        if (in[i] >= ' ' && in[i] != '"' && in[i] != '\\')
            continue;
        buf_add(out, in + start, i - start);
        start = i + 1;
        switch (in[i]) {
        case '"':
            buf_puts(out, "\\\"");
            break;
        case '\\':
            buf_puts(out, "\\\\");
            break;
        case '\n':
            buf_puts(out, "\\n");
            break;
        case '\r':
            buf_puts(out, "\\r");
            break;
        case '\t':
            buf_puts(out, "\\t");
            break;
        default:
            buf_printf(out, "\\u%04x", in[i]);
        }
    }
    if (text.len > start)
        buf_add(out, in + start, text.len - start);
    buf_add(out, "\"", 1);
}
