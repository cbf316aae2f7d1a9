/* The rows of settings.def and how their values parse; inside lib/config only. */
#pragma once
#include "lib/config/config.h"

enum setting_type {
    SETTING_IS_TEXT,
    SETTING_IS_INT,
    SETTING_IS_DURATION,
    SETTING_IS_SIZE,
    SETTING_IS_PATH,
    SETTING_IS_SECRET,
};

struct setting_row {
    const char *section, *key;
    enum setting_type type;
    const char *unit, *fallback, *help;
};
extern const struct setting_row setting_rows[SETTING_COUNT];

const char *setting_type_rule(enum setting_type type); /* "true or false" */
/* *number is the value of INT, DURATION (ms) and SIZE (bytes). */
int setting_parse(enum setting_type type, const char *text, int64_t *number) MUST_CHECK;
