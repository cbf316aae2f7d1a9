/* The listener's side of a notified (dangerous) system call.
 *
 * The launcher holds the listener descriptor of a job and calls notify_serve() once for each time
 * it polls readable. Every call is counted, the first SECCOMP_EVENTS_MAX are kept as evidence, and
 * the answer is always EPERM. From the SECCOMP_EVENTS_MAX-th event on *flood is true: the caller
 * kills the job with ACTION_KILL_SECCOMP. A listener that is closed makes the kernel answer ENOSYS:
 * it fails closed. */
#pragma once
#include "lib/base/err.h"
#include "schemas/evidence.h"

/* Receives and answers one notification; blocks when there is none. 0 also when the caller died
 * meanwhile (it is counted all the same when it was received). -1: ERR_SYSTEM, the listener is
 * unusable. */
int notify_serve(int listener_fd, struct phase_evidence *ev, bool *flood,
                 struct err *err) MUST_CHECK;
