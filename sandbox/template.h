/* The template tier: a process with a started Python interpreter, of which the run of a job is a
 * fork, in a sandbox and with layers like any other's. Forks share the template's address layout
 * and hash seed, so it is replaced after template_jobs forks or template_minutes; one that dies is
 * made again after a pause that doubles from a second to a minute. Jobs run cold meanwhile: nothing
 * waits for a template, and no fork in flight dies with it. */
#pragma once
#include "sandbox/host.h"
#include "sandbox/phase.h"

/* Whether this launcher was built with one (CPython 3.11's headers were there). */
bool template_built(void);
/* Starts it in the background if config asks for it. A failure to do so is logged, not returned. */
int template_open(struct host *host, struct err *err) MUST_CHECK;
void template_close(struct host *host);
/* Whether a run with these limits can be a fork now. Starts or replaces a template that is due. */
bool template_ready(struct host *host, enum language language, const struct limits *limits);
/* Orders the fork for a phase whose init has finished its root. ERR_SYSTEM: the template is gone.
 */
int template_fork(struct phase *phase, struct err *err) MUST_CHECK;
/* A phase came to nothing before its program began, perhaps by the template's fault: replaced. */
void template_blame(struct host *host);
