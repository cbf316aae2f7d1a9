/* UUIDv7 (RFC 9562 part 5.7): 48 bits of Unix milliseconds, then random bits. */
#pragma once
#include "lib/base/clock.h"
#include "lib/base/rnd.h"
#include "lib/base/span.h"
#include <stdbool.h>

struct uuid {
    uint8_t bytes[16];
};
#define UUID_TEXT 37 /* with NUL, lower case */

/* Ids of one maker never decrease within a millisecond is NOT promised; they are unique. */
struct uuid uuid_v7(const struct clock *clock, struct rnd *rnd);
struct uuid uuid_v7_at(int64_t wall_ms, struct rnd *rnd);
struct uuid uuid_first(int64_t wall_ms); /* no id of that millisecond or later is below it */
bool uuid_is_v7(const struct uuid *id);  /* version and variant bits */
int64_t uuid_ms(const struct uuid *id);  /* Unix milliseconds in the id */
int32_t uuid_day(const struct uuid *id); /* its UTC day: the submission's day everywhere */
void uuid_format(const struct uuid *id, char out[UUID_TEXT]);
int uuid_parse(struct span text, struct uuid *out)
    __attribute__((warn_unused_result)); /* 36 characters, any case */
bool uuid_eq(const struct uuid *a, const struct uuid *b);
