/* Carrying a compile's output over to the run. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>

/* Copies tmp_mount/name (a regular file, or with `directory` the regular files below it) into a
 * fresh tmpfs, read-only and executable, and returns its descriptor. Call only when the compile's
 * group is empty: nobody can change the files then. ERR_INVALID when there is no such output. */
int harvest(int tmp_mount, const char *name, bool directory, uint64_t max_bytes,
            struct err *err) MUST_CHECK;
