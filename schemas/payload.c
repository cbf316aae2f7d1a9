/* Packing and unpacking the plaintext of a value. The sizes of a layout are all checked against
 * the bytes that are there before any of them is used; nothing is copied on the way out. */
#include "schemas/payload.h"
#include "schemas/topics.h"

#define MAGIC "RBP1"
#define HEAD_BYTES 12
#define ENTRY_BYTES 5

static void put_u32(struct buf *out, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    buf_add(out, bytes, sizeof bytes);
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static bool kind_known(unsigned kind)
{
    return kind >= SECTION_CODE && kind <= SECTION_LAST;
}

int payload_pack(const struct payload *payload, struct buf *out, struct err *err)
{
    size_t total = HEAD_BYTES + payload->meta.len;
    if (payload->sections > PAYLOAD_SECTIONS_MAX)
        return err_set(err, ERR_BUG, "payload: %zu sections", payload->sections);
    if (payload->meta.len > RECORD_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "payload: metadata of %zu bytes", payload->meta.len);
    for (size_t i = 0; i < payload->sections; i++) {
        if (!kind_known(payload->section[i].kind))
            return err_set(err, ERR_BUG, "payload: section kind %d", payload->section[i].kind);
        if (payload->section[i].bytes.len > RECORD_BYTES_MAX)
            return err_set(err, ERR_TOO_LARGE, "payload: a section of %zu bytes",
                           payload->section[i].bytes.len);
        total += ENTRY_BYTES + payload->section[i].bytes.len;
    }
    if (total > RECORD_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "payload: %zu bytes, at most %d", total,
                       RECORD_BYTES_MAX);
    buf_add(out, MAGIC, 4);
    put_u32(out, (uint32_t)payload->meta.len);
    put_u32(out, (uint32_t)payload->sections);
    for (size_t i = 0; i < payload->sections; i++) {
        const uint8_t kind = (uint8_t)payload->section[i].kind;
        buf_add(out, &kind, 1);
        put_u32(out, (uint32_t)payload->section[i].bytes.len);
    }
    buf_add(out, payload->meta.data, payload->meta.len);
    for (size_t i = 0; i < payload->sections; i++)
        buf_add(out, payload->section[i].bytes.data, payload->section[i].bytes.len);
    if (out->failed)
        return err_set(err, ERR_TOO_LARGE, "payload: the buffer takes %zu bytes", out->max);
    return 0;
}

int payload_unpack(struct span bytes, struct payload *out, struct err *err)
{
    const uint8_t *in = bytes.data;
    if (bytes.len < HEAD_BYTES || bytes.len > RECORD_BYTES_MAX || memcmp(in, MAGIC, 4) != 0)
        return err_set(err, ERR_CORRUPT, "payload: no RBP1 header in %zu bytes", bytes.len);
    size_t meta = get_u32(in + 4), sections = get_u32(in + 8);
    if (sections > PAYLOAD_SECTIONS_MAX)
        return err_set(err, ERR_CORRUPT, "payload: %zu sections, at most %d", sections,
                       PAYLOAD_SECTIONS_MAX);
    size_t at = HEAD_BYTES + sections * ENTRY_BYTES, left;
    if (bytes.len < at || meta > bytes.len - at)
        return err_set(err, ERR_CORRUPT, "payload: cut in its table");
    struct payload made = {.meta = span_of(in + at, meta), .sections = sections};
    at += meta;
    left = bytes.len - at;
    for (size_t i = 0; i < sections; i++) {
        const uint8_t *entry = in + HEAD_BYTES + i * ENTRY_BYTES;
        size_t len = get_u32(entry + 1);
        if (!kind_known(entry[0]))
            return err_set(err, ERR_CORRUPT, "payload: section kind %u", entry[0]);
        if (len > left)
            return err_set(err, ERR_CORRUPT, "payload: section %zu is cut", i);
        made.section[i].kind = (enum section)entry[0];
        made.section[i].bytes = span_of(in + at, len);
        at += len;
        left -= len;
    }
    if (left != 0)
        return err_set(err, ERR_CORRUPT, "payload: %zu bytes after the last section", left);
    *out = made;
    return 0;
}

struct span payload_section(const struct payload *payload, enum section kind)
{
    for (size_t i = 0; i < payload->sections; i++)
        if (payload->section[i].kind == kind)
            return payload->section[i].bytes;
    return span_of(NULL, 0);
}
