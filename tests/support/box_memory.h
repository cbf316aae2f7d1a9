/* sandbox/box.h without a sandbox, for tests of execute: jobs "run" until the test ends them. */
#pragma once
#include "sandbox/box.h"

void box_memory_reset(uint32_t slots);
void box_memory_away(bool away);               /* box_open fails */
void box_memory_languages(uint32_t languages); /* of the next greeting */
size_t box_memory_running(void);
/* The running job whose code begins with text; NULL = none. */
const struct box_job *box_memory_find(const char *text);
bool box_memory_finish(const char *text, int exit_code); /* a report with this code as its output */
void box_memory_finish_all(void);
void box_memory_die(void); /* the launcher's process: running jobs are gone, the connection too */
size_t box_memory_started(const char *text); /* how often a job with this code was submitted */
size_t box_memory_most_running(void);
/* Runs of what was built have "CODE/STDIN" as their code; a build is a job that is to be finished.
 */
size_t box_memory_built(void); /* how many are kept */
