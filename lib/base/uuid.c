/* UUIDv7: the time is the id's first 48 bits, so ids of a day sort together and carry their day. */
#include "lib/base/uuid.h"
#include "lib/base/enc.h"

static void put_ms(struct uuid *id, int64_t wall_ms)
{
    for (int i = 0; i < 6; i++)
        id->bytes[i] = (uint8_t)(wall_ms >> (8 * (5 - i)));
}

struct uuid uuid_first(int64_t wall_ms)
{
    struct uuid id = {{0}};
    put_ms(&id, wall_ms);
    return id;
}

struct uuid uuid_v7_at(int64_t wall_ms, struct rnd *rnd)
{
    struct uuid id;
    rnd_fill(rnd, id.bytes, sizeof id.bytes);
    put_ms(&id, wall_ms);
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

struct uuid uuid_v7(const struct clock *clock, struct rnd *rnd)
{
    return uuid_v7_at(clock_wall_ms(clock), rnd);
}

bool uuid_is_v7(const struct uuid *id)
{
    return id->bytes[6] >> 4 == 7 && id->bytes[8] >> 6 == 2;
}

int64_t uuid_ms(const struct uuid *id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms;
}

int32_t uuid_day(const struct uuid *id)
{
    return day_of_ms(uuid_ms(id));
}

static const uint8_t group_bytes[5] = {4, 2, 2, 2, 6};

void uuid_format(const struct uuid *id, char out[UUID_TEXT])
{
    const uint8_t *bytes = id->bytes;
    for (int group = 0; group < 5; group++) {
        if (group > 0)
            *out++ = '-';
        hex_encode(bytes, group_bytes[group], out);
        bytes += group_bytes[group];
        out += (size_t)group_bytes[group] * 2;
    }
}

int uuid_parse(struct span text, struct uuid *out)
{
    if (text.len != UUID_TEXT - 1)
        return -1;
    const char *at = text.data;
    struct uuid id;
    uint8_t *bytes = id.bytes;
    for (int group = 0; group < 5; group++) {
        if (group > 0 && *at++ != '-')
            return -1;
        if (hex_decode(span_of(at, (size_t)group_bytes[group] * 2), bytes, group_bytes[group]))
            return -1;
        bytes += group_bytes[group];
        at += (size_t)group_bytes[group] * 2;
    }
    *out = id;
    return 0;
}

bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
