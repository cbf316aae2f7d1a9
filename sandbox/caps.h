/* Capabilities of the calling process; for the launcher and its children. */
#pragma once
#include "lib/base/err.h"
#include <linux/capability.h>
#include <stdint.h>

/* Empties the bounding set: what is empty already costs a question a capability, each change a copy
 * of the credentials. -1 with errno set. */
int caps_drop_bounding(void) MUST_CHECK;
/* Keeps these (bits 1 << CAP_x, each permitted now) over an execve as root, even where the bounding
 * set is empty, and no others there. -1 with errno set. */
int caps_keep_over_exec(uint64_t bits) MUST_CHECK;
/* Before an execve as root: the program will have these, and no bounding set. -1 with errno set. */
int caps_only_over_exec(uint64_t bits) MUST_CHECK;

/* What making a sandbox needs, and no more; and what the template's part of it needs. */
#define CAPS_BIT(name) (UINT64_C(1) << CAP_##name)
#define CAPS_TEMPLATE                                                                              \
    (CAPS_BIT(SYS_ADMIN) | CAPS_BIT(SYS_CHROOT) | CAPS_BIT(SYS_PTRACE) | CAPS_BIT(SETUID) |        \
     CAPS_BIT(SETGID) | CAPS_BIT(SETPCAP) | CAPS_BIT(DAC_OVERRIDE))
#define CAPS_SANDBOX (CAPS_TEMPLATE | CAPS_BIT(KILL))
