/* The payload's way from a copy of the launcher to the program; only child.c calls it. */
#pragma once
#include "sandbox/child.h"

_Noreturn void child_payload(const struct child_spec *spec);
/* Tells the launcher that `where` failed with errno, and exits. */
_Noreturn void child_fail(int sync_fd, const char *where);
