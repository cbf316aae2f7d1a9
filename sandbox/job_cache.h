/* Between a job and the compile cache: what a job's key is made of, and when its compile is kept.
 */
#pragma once
#include "sandbox/job.h"

/* Fills box_mount when the cache has the job's compile, and says hit, miss or off in the evidence.
 * Never fails: what cannot be found is compiled. */
void job_recall(struct job *job, const struct harvest *what);
/* After a harvest that refused nothing. Not a compile with anything in its evidence that a hit
 * would not show. */
void job_keep(struct job *job, const struct harvest *what, const struct harvested *took);
