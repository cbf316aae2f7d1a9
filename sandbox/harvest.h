/* Carrying a compile's output over to the run, into the compile cache and out of it again. */
#pragma once
#include "lib/base/err.h"
#include "sandbox/given.h"
#include <stdbool.h>
#include <stdint.h>

struct harvest {
    const char *name;          /* below the compile's /tmp */
    bool directory;            /* the regular files below it, else it is one */
    uint64_t max_bytes;        /* of all files together */
    const struct given *given; /* laid beside it; NULL = no files */
    int from;                  /* where their contents are, from `offset` on */
    uint64_t offset;
    bool follow_links; /* tests only: leaves the layer off, to see what it stops */
};

/* What was copied. */
struct harvested {
    uint64_t files; /* directories too */
    uint64_t bytes; /* of memory that a copy takes */
    uint64_t sum;   /* of names and contents, whatever their order */
};

/* Copies it into a fresh tmpfs, read-only and executable, and returns that one's descriptor. Call
 * only when the compile's group is empty: nobody can change the files then. Output that cannot be
 * taken (missing, no regular file, too large, too many) is the compiled program's doing and no
 * failure of the sandbox: the result is then empty, *refused (else ERR_NONE) says why, and the run
 * ends as that of a program without a binary. */
int harvest(int tmp_mount, const struct harvest *what, struct harvested *took, struct err *refused,
            struct err *err) MUST_CHECK;
/* Copies it from one directory to another, both the launcher's own. Leaves what it copied behind
 * when it fails. */
int harvest_copy(int from, int to, const struct harvest *what, struct harvested *took,
                 struct err *err) MUST_CHECK;
