/* UTF-8 as Unicode 15 defines it (table 3-7): no overlong forms, no surrogates, nothing above
 * U+10FFFF. Replacement follows "substitution of maximal subparts" (chapter 3.9), which is what
 * browsers and Python do. */
#include "lib/base/enc.h"

/* Length of the well-formed sequence at `in`, or 0 with *bad = bytes of its ill-formed start. */
static size_t sequence(const unsigned char *in, size_t len, size_t *bad)
{
    unsigned char lead = in[0], low = 0x80, high = 0xbf;
    size_t need;
    *bad = 1;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead < 0xe0) {
        need = 2;
    } else if (lead < 0xf0) {
        need = 3;
        low = lead == 0xe0 ? 0xa0 : 0x80;
        high = lead == 0xed ? 0x9f : 0xbf;
    } else {
        need = 4;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf;
    }
    for (size_t i = 1; i < need; i++) {
        if (i >= len || in[i] < low || in[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
        *bad = i + 1;
    }
    return need;
}

/* Bytes of pure ASCII at the start, in whole words. */
static size_t ascii_words(const unsigned char *in, size_t len)
{
    size_t done = 0;
    uint64_t word;
    while (len - done >= sizeof word) {
        memcpy(&word, in + done, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
        done += sizeof word;
    }
    return done;
}

bool utf8_valid(struct span text)
{
    const unsigned char *in = text.data;
    for (size_t i = 0; i < text.len;) {
        size_t bad, step = ascii_words(in + i, text.len - i);
        if (step == 0)
            step = sequence(in + i, text.len - i, &bad);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

bool utf8_scrub(struct span text, struct buf *out)
{
    const unsigned char *in = text.data;
    bool replaced = false;
    size_t start = 0;
    for (size_t i = 0; i < text.len;) {
        size_t bad = 1, step = in[i] ? sequence(in + i, text.len - i, &bad) : 0;
        if (step > 0) {
            i += step;
            continue;
        }
        if (i > start)
            buf_add(out, in + start, i - start);
        buf_add(out, "\xef\xbf\xbd", 3);
        replaced = true;
        i += bad;
        start = i;
    }
    if (text.len > start)
        buf_add(out, in + start, text.len - start);
    return replaced;
}
