/* From text to value, by type. Numbers carry their unit: a bare "30" for a duration is refused,
 * because nobody can tell seconds from milliseconds. */
#include "lib/base/span.h"
#include "lib/config/settings.h"
#include <string.h>

struct unit {
    const char *suffix;
    uint64_t factor;
};
static const struct unit durations[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {
    {"", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}, {NULL, 0}};

static int parse_number(const char *text, const struct unit *units, int64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value = 0;
    if (span_u64(span_of(text, digits), &value))
        return -1;
    for (; units->suffix; units++) {
        if (strcmp(text + digits, units->suffix) != 0)
            continue;
        if (__builtin_mul_overflow(value, units->factor, &value) || value > INT64_MAX)
            return -1;
        *number = (int64_t)value;
        return 0;
    }
    return -1;
}

const char *setting_type_rule(enum setting_type type)
{
    switch (type) {
    case SETTING_IS_TEXT:
        return "text";
    case SETTING_IS_INT:
        return "a whole number";
    case SETTING_IS_DURATION:
        return "a duration: 500ms, 30s, 5m, 1h, 2d or 0";
    case SETTING_IS_SIZE:
        return "a size: bytes, or with KiB, MiB, GiB";
    case SETTING_IS_PATH:
        return "an absolute path";
    case SETTING_IS_SECRET:
        return "the absolute path of a file that holds the secret";
    }
    return "";
}

int setting_parse(enum setting_type type, const char *text, int64_t *number)
{
    static const struct unit plain[] = {{"", 1}, {NULL, 0}};
    *number = 0;
    switch (type) {
    case SETTING_IS_TEXT:
        return strstr(text, "password=") ? -1 : 0; /* secrets only by file */
    case SETTING_IS_INT:
        return parse_number(text, plain, number);
    case SETTING_IS_DURATION:
        return strcmp(text, "0") == 0 ? 0 : parse_number(text, durations, number);
    case SETTING_IS_SIZE:
        return parse_number(text, sizes, number);
    case SETTING_IS_PATH:
    case SETTING_IS_SECRET:
        return text[0] == '/' ? 0 : -1;
    }
    return -1;
}
