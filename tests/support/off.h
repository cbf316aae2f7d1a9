/* Protections that a test program is started without, to see its tests fail: $RUSTBOX_TEST_OFF
 * names them, with commas between. They are taken away at the linker (--wrap) of test programs
 * alone, so that the product has no such switch. */
#pragma once
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool off(const char *protection)
{
    const char *at = getenv("RUSTBOX_TEST_OFF");
    size_t len = strlen(protection);

    while (at && *at) {
        size_t word = strcspn(at, ",");
        if (word == len && strncmp(at, protection, len) == 0)
            return true;
        at += word + (at[word] == ',');
    }
    return false;
}
