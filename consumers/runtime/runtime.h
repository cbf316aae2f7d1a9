/* The loop around a stage; consumers/main.c calls it, tests turn it by hand.
 *
 * One thread, one poll(2). A systemic error pauses the partitions, waits (50 ms to 5 s, jittered),
 * calls reopen(), seeks back and repeats: no record is skipped and polling never stops. SIGTERM:
 * takes nothing more, finishes what is in hand within 6 s, commits, ends with status 0. A fatal
 * error ends it with status 70. */
#pragma once
#include "consumers/runtime/stage.h"

struct runtime;

struct runtime_options {
    const struct stage *stage;
    const struct config *config;
    const char *client_id; /* unique per process and the same after a restart */
    struct clock clock;
    struct rnd rnd;
};

int runtime_open(const struct runtime_options *options, struct runtime **out,
                 struct err *err) MUST_CHECK;
/* One turn: waits at most timeout_ms for work. false = over; see runtime_status. */
bool runtime_turn(struct runtime *rt, int timeout_ms);
void runtime_stop(struct runtime *rt); /* as SIGTERM */
bool runtime_ready(const struct runtime *rt);
int runtime_status(const struct runtime *rt); /* 0, or 70 after a fatal error */
void runtime_close(struct runtime *rt);
/* runtime_open, turns until the end, runtime_close; with signals and the watchdog. */
int runtime_run(const struct runtime_options *options);
