/* A bench for admit and persist: records as a gateway and execute would write them, stages opened
 * on a private PostgreSQL (tests/integration/with_postgres), an outbox that only remembers. */
#pragma once
#include "../unit/unit.h"

#include "consumers/stages.h"
#include "lib/db/db.h"
#include "lib/keystore/keystore.h"
#include "schemas/result.h"
#include "schemas/signing.h"
#include "schemas/submission.h"
#include "schemas/webhook.h"

#define LOG_MAX 1200
#define PROJECT_TRIAL 1
#define PROJECT_FREE 2

struct outbox {
    struct output {
        enum topic topic;
        struct envelope env;
        struct buf value;
        bool dead;
    } items[LOG_MAX];
    size_t count;
};

/* One record in the log; members may be changed before it is handed to a stage. */
struct line {
    struct envelope env;
    struct buf value;
    struct arena arena;
    struct record rec;
};

struct bench {
    char dir[64];
    struct config *config;
    struct clock clock;
    struct rnd rnd;
    struct stage_env env;
    struct keystore *ks;
    struct signing signing;
    struct db *sql; /* superuser */
    struct line log[LOG_MAX];
    size_t lines;
    int64_t next[64];         /* offsets by partition */
    uint16_t retention_class; /* of new submissions */
    const char *webhook_url;  /* of new submissions; NULL = none */
    struct outbox out;
};

extern struct bench bench;
int bench_setup(void **state); /* group: servers, keys, config */
int bench_teardown(void **state);
int bench_clean(void **state); /* each test: empty tables, empty log */

struct uuid bench_project(unsigned number);
/* Appends a good submission; key NULL = without Idempotency-Key. */
struct line *bench_submit(unsigned project, const char *key, const char *code);
/* Another record of the same id, other body, signed: a copy. */
struct line *bench_copy(const struct line *of, const char *code);
/* A verdict of that submission: value = packed result with this exit code. */
struct line *bench_verdict(const struct line *of, int exit_code, uint64_t cpu_ns);
/* What a stage wrote, as a record of its topic; as it was signed. */
struct line *bench_take(const struct output *written);
/* What deliver writes about a message. */
struct line *bench_attempt(const struct envelope *message, const struct webhook_attempt *attempt);
void bench_sign(struct line *line); /* digest and signature anew */
void bench_sign_as(struct line *line, const char *signer);
void bench_place(struct line *line);   /* partition, offset and headers anew */
void bench_headers(struct line *line); /* after a change of env alone */

/* Runs lines [from, to) as one batch; marks may be NULL. */
int bench_run(const struct stage *stage, void *self, size_t from, size_t to,
              const struct mark *marks, size_t mark_count, struct err *err);
int64_t bench_sql(const char *sql); /* first column of the first row, as a number; -1 = no row */
size_t bench_dead(void);            /* records written to `dead` */
size_t bench_outputs(const struct line *line, enum topic topic);
enum cause bench_cause(const struct line *line); /* of its verdict output */
