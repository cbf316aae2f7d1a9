/* The warm tier: sandboxes made before their job is there, each consumed once and never given
 * again. Filled while the launcher has nothing else to do, for the languages that were asked for,
 * with the judge profile's limits; a job with lower ones is given one too, and these are set and
 * read back before it runs. Holds no job's bytes: code, stdin and /box come when it
 * is taken. Off unless --warm N. */
#pragma once
#include "sandbox/host.h"
#include "sandbox/phase.h"

#define WARM_MAX 16 /* of a language */

struct warm_pool;

int warm_open(struct host *host, struct err *err) MUST_CHECK;
/* Kills what was not taken and waits for its end. */
void warm_close(struct host *host);
/* A ready phase for the run of a language, now the caller's (free it after phase_release), with an
 * empty and still writable stdin in *stdin_file; NULL when there is none. Either way the next ones
 * are made for such jobs. */
struct phase *warm_take(struct host *host, enum language language, const struct limits *limits,
                        int *stdin_file);
/* Starts one more if one is lacking; false = nothing is. */
bool warm_fill(struct host *host);
