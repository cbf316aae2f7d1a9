/* Shared by phase.c (making and ending a phase) and phase_watch.c (its events). */
#pragma once
#include "sandbox/phase.h"

#define SETUP_NS INT64_C(10000000000) /* for the payload to report itself ready */

void phase_on_sync(struct watch *watch, uint32_t events);
void phase_on_init(struct watch *watch, uint32_t events);
void phase_on_output(struct watch *watch, uint32_t events);
void phase_on_timer(struct watch *watch, uint32_t events);
void phase_on_oom(struct watch *watch, uint32_t events);
void phase_on_listener(struct watch *watch, uint32_t events);
/* The ends kept for the template's fork. */
void phase_close_far(struct phase *phase);
/* Lowers the limits of a prepared sandbox to its job's, reads them back and lets it go. */
void phase_tighten(struct phase *phase);
/* Places /box, reads the mounts back and lets the program go. */
void phase_go(struct phase *phase);
/* Marks the set-up as failed (the first text stays) and kills the init. */
void phase_fail(struct phase *phase, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reads the pending messages of the init and the payload. */
void phase_messages(struct phase *phase);
/* Reads what is left in the pipes. */
void phase_drain(struct phase *phase);
/* The init is gone: collects, removes the group, calls done; comes back by the timer if busy. */
void phase_finish(struct phase *phase);
