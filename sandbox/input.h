/* A job's stdin: a file of the launcher's own in memory, copied from the client's memfd, which can
 * be read, opened again as /dev/stdin and positioned in, but written to by nobody once it is
 * sealed. Not a file of a tmpfs: to make and unmount one for each job costs more than all else
 * about its stdin, and the unmounting waits for the kernel. */
#pragma once
#include "lib/base/err.h"
#include <stdint.h>

#define INPUT_BYTES (UINT64_C(64) << 20) /* of code or stdin */

int input_new(struct err *err) MUST_CHECK; /* empty, for the launcher alone */
/* Copies all of from (a memfd, from its start). ERR_TOO_LARGE beyond max_bytes. */
int input_fill(int input, int from, uint64_t max_bytes, struct err *err) MUST_CHECK;
int input_seal(int input, struct err *err) MUST_CHECK;
/* The program's descriptor: read-only, with an offset of its own. */
int input_open(int input, struct err *err) MUST_CHECK;
