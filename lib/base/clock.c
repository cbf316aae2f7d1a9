/* The clock's implementations and the UTC calendar. The calendar is computed here, without time
 * zones, because gmtime is not reentrant and timegm reads none of it. */
#include "lib/base/clock.h"
#include "lib/base/span.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec now = {0};
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t system_wall(const struct clock *clock)
{
    return read_ns(CLOCK_REALTIME) + clock->wall;
}

static int64_t system_mono(const struct clock *clock)
{
    (void)clock;
    return read_ns(CLOCK_MONOTONIC);
}

static int64_t manual_wall(const struct clock *clock)
{
    return clock->wall;
}

static int64_t manual_mono(const struct clock *clock)
{
    return clock->mono;
}

const struct clock clock_system = {.wall_ns = system_wall, .mono_ns = system_mono};

struct clock clock_from_env(void)
{
    struct clock clock = clock_system;
    const char *text = getenv("RUSTBOX_CLOCK_OFFSET_S");
    if (!text)
        return clock;
    bool back = text[0] == '-';
    uint64_t seconds = 0;
    if (span_u64(span_text(text + (back ? 1 : 0)), &seconds) == 0 && seconds < 4000000000u)
        clock.wall = (back ? -1 : 1) * (int64_t)seconds * 1000000000;
    return clock;
}

struct clock clock_manual(int64_t wall_ns)
{
    return (struct clock){
        .wall_ns = manual_wall, .mono_ns = manual_mono, .wall = wall_ns, .mono = 1000000000};
}

void clock_advance(struct clock *manual, int64_t ns)
{
    manual->wall += ns;
    manual->mono += ns;
}

/* Gregorian date of a day count, in eras of 400 years that begin on 1 March of year 0. */
static void civil(int64_t day, int64_t *year, int *month, int *mday)
{
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097;
    int64_t in_era = day - era * 146097;
    int64_t year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * in_year + 2) / 153; /* month, 0 = March */
    *mday = (int)(in_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

static int64_t day_of_civil(int64_t year, int month, int mday)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + mday - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + in_year -
           719468;
}

void day_format(int32_t day, char out[DAY_TEXT])
{
    int64_t year = 0;
    int month = 0, mday = 0;
    civil(day, &year, &month, &mday);
    unsigned number = (unsigned)(year < 0 || year > 9999 ? 0 : year);
    memcpy(out, "0000-00-00", DAY_TEXT); /* each record's headers have it: no printf */
    for (int i = 3; i >= 0; i--, number /= 10)
        out[i] = (char)('0' + number % 10);
    out[5] = (char)('0' + month / 10 % 10);
    out[6] = (char)('0' + month % 10);
    out[8] = (char)('0' + mday / 10 % 10);
    out[9] = (char)('0' + mday % 10);
}

int day_parse(const char *text, int32_t *out)
{
    uint64_t year = 0, month = 0, mday = 0;
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' ||
        span_u64(span_of(text, 4), &year) || span_u64(span_of(text + 5, 2), &month) ||
        span_u64(span_of(text + 8, 2), &mday))
        return -1;
    if (month < 1 || month > 12 || mday < 1 || mday > 31)
        return -1;
    int64_t day = day_of_civil((int64_t)year, (int)month, (int)mday);
    int64_t year_back = 0;
    int month_back = 0, mday_back = 0;
    civil(day, &year_back, &month_back, &mday_back);
    if (year_back != (int64_t)year || month_back != (int)month || mday_back != (int)mday)
        return -1; /* 31 April, 29 February of a common year */
    *out = (int32_t)day;
    return 0;
}

void rfc3339_format(int64_t wall_ns, char out[RFC3339_TEXT])
{
    int64_t us = wall_ns / 1000;
    int64_t day = us / (DAY_MS * 1000), rest = us % (DAY_MS * 1000);
    if (rest < 0) {
        rest += DAY_MS * 1000;
        day--;
    }
    char date[DAY_TEXT];
    day_format((int32_t)day, date);
    unsigned seconds = (unsigned)(rest / 1000000), fraction = (unsigned)(rest % 1000000);
    snprintf(out, RFC3339_TEXT, "%sT%02u:%02u:%02u.%06uZ", date, seconds / 3600, seconds / 60 % 60,
             seconds % 60, fraction);
}

static int two_digits(const char *at, uint64_t max, int64_t *out)
{
    uint64_t value = 0;
    if (span_u64(span_of(at, 2), &value) || value > max)
        return -1;
    *out = (int64_t)value;
    return 0;
}

/* Microseconds since 1970; further decimals are left out. */
static int utc_us(struct span text, int64_t *wall_us)
{
    const char *at = text.data;
    char date[DAY_TEXT];
    int64_t hour, minute, second, rest = 0;
    int32_t day;
    if (text.len < sizeof "2026-11-23T20:15:00Z" - 1 || at[10] != 'T' || at[13] != ':' ||
        at[16] != ':' || at[text.len - 1] != 'Z' ||
        span_copy(span_of(at, DAY_TEXT - 1), date, sizeof date) || day_parse(date, &day) ||
        two_digits(at + 11, 23, &hour) || two_digits(at + 14, 59, &minute) ||
        two_digits(at + 17, 60, &second))
        return -1;
    if (text.len > 20 && (at[19] != '.' || text.len == 21))
        return -1;
    for (size_t i = 20, unit = 100000; i + 1 < text.len; i++, unit /= 10) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        rest += (at[i] - '0') * (int64_t)unit;
    }
    *wall_us = (day * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000) * 1000 + rest;
    return 0;
}

int rfc3339_ms(struct span text, int64_t *wall_ms)
{
    int64_t us;
    if (utc_us(text, &us))
        return -1;
    *wall_ms = us / 1000 - (us % 1000 < 0);
    return 0;
}

int rfc3339_parse(const char *text, int64_t *wall_ns)
{
    char again[RFC3339_TEXT];
    int64_t us;
    if (utc_us(span_text(text), &us) || us < 0 ||
        us > (INT64_MAX / 1000 / (DAY_MS * 1000)) * DAY_MS * 1000)
        return -1;                    /* before 1970 nothing of ours; nanoseconds end in 2262 */
    rfc3339_format(us * 1000, again); /* six decimals, no leap second */
    if (strcmp(text, again) != 0)
        return -1;
    *wall_ns = us * 1000;
    return 0;
}
