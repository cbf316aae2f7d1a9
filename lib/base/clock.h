/* The clock port. Stages and rules get a clock; none reads time(2) itself.
 *
 * `wall` is nanoseconds since 1970-01-01 UTC, `mono` nanoseconds of CLOCK_MONOTONIC. Tests use
 * clock_manual; $RUSTBOX_CLOCK_OFFSET_S shifts clock_system's wall time (tests of windows). */
#pragma once
#include "lib/base/span.h"
#include <stdint.h>

struct clock {
    int64_t (*wall_ns)(const struct clock *clock);
    int64_t (*mono_ns)(const struct clock *clock);
    int64_t wall, mono; /* the manual clock's hands; the system clock's wall offset in `wall` */
};

extern const struct clock clock_system; /* without offset */
struct clock clock_from_env(void);      /* system clock, shifted by $RUSTBOX_CLOCK_OFFSET_S */
struct clock clock_manual(int64_t wall_ns);
void clock_advance(struct clock *manual, int64_t ns); /* moves both hands */

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ns(clock) / 1000000;
}

static inline int64_t clock_mono_ms(const struct clock *clock)
{
    return clock->mono_ns(clock) / 1000000;
}

/* UTC calendar. A day is the count of days since 1970-01-01 (PostgreSQL: date '1970-01-01' + day).
 */
#define DAY_MS INT64_C(86400000)
static inline int32_t day_of_ms(int64_t wall_ms)
{
    return (int32_t)(wall_ms / DAY_MS);
}
#define DAY_TEXT 11
#define RFC3339_TEXT 32
void day_format(int32_t day, char out[DAY_TEXT]); /* 2026-11-23 */
int day_parse(const char *text, int32_t *out) __attribute__((warn_unused_result));
void rfc3339_format(int64_t wall_ns, char out[RFC3339_TEXT]); /* 2026-11-23T20:15:00.123456Z */
/* Unix ms of a time that a person wrote: UTC ("Z"), with or without decimals of the second, of
 * which three count. */
int rfc3339_ms(struct span text, int64_t *wall_ms) __attribute__((warn_unused_result));
/* The form of rfc3339_format and no other. */
int rfc3339_parse(const char *text, int64_t *wall_ns) __attribute__((warn_unused_result));
