/* The numbered SQL files of schemas/sql, built into the program. Ends with version 0. */
#pragma once
#include <stddef.h>

struct migration {
    int version;
    const char *name, *sql; /* NUL-terminated */
    size_t sql_bytes;
};
extern const struct migration migrations[];
