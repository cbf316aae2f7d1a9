/* What test_execute and test_execute_cases share: jobs in the log, what came of them, and execute
 * in the real runtime over a bus and a box in memory. */
#pragma once
#include "consumers/runtime/runtime.h"
#include "consumers/stage_util.h"
#include "lib/keystore/keystore.h"
#include "schemas/result.h"
#include "schemas/submission.h"
#include "tests/support/box_memory.h"
#include "tests/support/bus_memory.h"
#include "tests/unit/unit.h"

extern struct err err;
extern struct config *config;
extern struct keystore *keys;
extern struct rnd rnd;
extern struct signing signing;
extern struct runtime *rt;
extern char dir[];       /* of keys, secrets and the journal */
extern int64_t hurry_ns; /* the runtime's clock runs ahead by this much */

/* ---- a job in the log ---- */
struct sample {
    struct uuid id, project;
    const char *code;
    enum lane lane;
    enum language language;
    const struct test_case *cases;
    size_t case_count;
    bool stop_on_fail;
    struct span value; /* instead of the sealed submission */
    bool replace_value;
    void (*forge)(struct envelope *env, struct span *value); /* after it was signed */
};

int64_t wall(const struct clock *clock);
struct envelope envelope_of(const struct sample *sample, struct key_id *key);
void write_job(const struct sample *sample);
struct sample sample(const char *code, uint8_t project, enum lane lane);
struct sample submit(const char *code);

/* ---- what came of it ---- */
size_t verdicts_of(const struct uuid *id, struct result *out, struct arena *arena);
void expect_verdict(const struct sample *job, enum cause cause);
bool everything_committed(void);

/* ---- the frame ---- */
void open_runtime(void);
void turns(int count);
void run_until_committed(void);
void close_runtime(void);
int before(void **state); /* each test's set-up */
/* Keys, secrets and a configuration in a directory of its own. */
int execute_bench_open(void);
void execute_bench_close(void);
