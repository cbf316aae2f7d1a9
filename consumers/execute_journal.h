/* The journal of started and ended jobs (delivery.md rule 15): which jobs were running when this
 * process or the launcher died, and how often each did so alone.
 *
 * A local file of lines, each one write(2), which kill -9 keeps. Read at open, which counts as a
 * death of the process before; rewritten when it has grown. Never decides what to run:
 * execute_rules does. */
#pragma once
#include "lib/base/err.h"
#include "lib/base/uuid.h"

struct journal;

/* Makes the file when it is missing; the directory must exist. */
int journal_open(const char *path, struct journal **out, struct err *err) MUST_CHECK;
void journal_close(struct journal *journal);
/* `alone`: it runs as the only job, as a suspect. */
int journal_started(struct journal *journal, const struct uuid *id, bool alone,
                    struct err *err) MUST_CHECK;
int journal_ended(struct journal *journal, const struct uuid *id, struct err *err) MUST_CHECK;
/* It does not run any more, and nothing is known of its end: partitions taken away, shutdown. */
int journal_released(struct journal *journal, const struct uuid *id, struct err *err) MUST_CHECK;
/* The launcher died: what runs becomes suspect; one that ran alone as a suspect is counted. */
int journal_death(struct journal *journal, struct err *err) MUST_CHECK;
/* True when the job is a suspect; then its deaths alone. */
bool journal_suspect(const struct journal *journal, const struct uuid *id, unsigned *deaths);
