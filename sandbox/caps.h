/* Capabilities of the calling process; for the launcher and its children. */
#pragma once
#include "lib/base/err.h"
#include <stdint.h>

/* Empties the bounding set: what is empty already costs a question a capability, each change a copy
 * of the credentials. -1 with errno set. */
int caps_drop_bounding(void) MUST_CHECK;
/* Keeps these (bits 1 << CAP_x, each permitted now) over an execve as root, even where the bounding
 * set is empty, and no others there. -1 with errno set. */
int caps_keep_over_exec(uint64_t bits) MUST_CHECK;
