/* Carrying a compile's output over to the run. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct harvest {
    const char *name;   /* below the compile's /tmp */
    bool directory;     /* the regular files below it, else it is one */
    uint64_t max_bytes; /* of all files together */
    bool follow_links;  /* tests only: leaves the layer off, to see what it stops */
};

/* Copies it into a fresh tmpfs, read-only and executable, and returns that one's descriptor. Call
 * only when the compile's group is empty: nobody can change the files then. Output that cannot be
 * taken (missing, no regular file, too large, too many) is the compiled program's doing and no
 * failure of the sandbox: the result is then empty, *refused (else ERR_NONE) says why, and the run
 * ends as that of a program without a binary. */
int harvest(int tmp_mount, const struct harvest *what, struct err *refused,
            struct err *err) MUST_CHECK;
