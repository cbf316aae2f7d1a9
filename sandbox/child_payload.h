/* The payload's way from a copy of the launcher to the program; child.c and the template call it.
 */
#pragma once
#include "sandbox/child.h"

#define CHILD_SYNC 3 /* where the pair lives once the payload has only four descriptors */

/* Takes every layer on the calling process, up to the loaded filter. */
void child_confine(const struct child_spec *spec, struct child_message *message);
void child_say_loaded(const struct child_message *message);
/* Waits for the launcher's word, as long as it takes. */
void child_await_go(const struct child_spec *spec);
/* Takes the outfit from the launcher, then all three, and the program. */
_Noreturn void child_payload(const struct child_spec *order);
/* Tells the launcher that `where` failed with errno, and exits. */
_Noreturn void child_fail(int sync_fd, const char *where);
