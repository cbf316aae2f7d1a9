/* What every target includes. A broken promise is a crash: CHECK aborts, libFuzzer keeps the input.
 */
#pragma once
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/enc.h"
#include "lib/base/err.h"
#include "lib/base/strict.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An error says which rule; it is one line and printable UTF-8. */
static inline void check_error(const struct err *err)
{
    CHECK(err->code != ERR_NONE && err->message[0] != '\0');
    CHECK(strnlen(err->message, sizeof err->message) < sizeof err->message);
    for (const char *c = err->message; *c; c++)
        CHECK((unsigned char)*c >= ' ' && *c != 0x7f);
}
