/* A sandbox made at start, never let go: what can this host put in force? */
#pragma once
#include "sandbox/host.h"

/* Sets host->controls. ERR_CONFIG, naming layer and remedy, when a required control is missing and
 * the launcher is not permissive. With print the result goes to stdout. */
int trial_run(struct host *host, bool print, struct err *err) MUST_CHECK;
