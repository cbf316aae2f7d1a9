/* What the tests of consumers/runtime share: a runtime around a stage, over the bus in memory. */
#pragma once
#include "consumers/runtime/runtime.h"
#include "tests/support/bus_memory.h"
#include "tests/unit/unit.h"

extern struct err err;

int runtime_bench_open(void);

/* Of stages that copy each record to `verdicts`. */
extern const enum topic inputs[1], outputs[1];
extern size_t reopened;
int add_copy(struct outbox *out, const struct record *rec, struct err *why);
int open_stage(const struct stage_env *env, void **self, struct err *why);
int reopen_stage(void *self, struct err *why);

struct runtime *open_runtime(const struct stage *stage);
void turns(struct runtime *rt, int count);
void settle(struct runtime *rt); /* longer than the pause between two commits */
void append(size_t count);
void end(struct runtime *rt);
