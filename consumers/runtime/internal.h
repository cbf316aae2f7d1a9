/* What the files of the runtime share. Stages see stage.h alone. */
#pragma once
#include "consumers/runtime/stage.h"
#include "lib/base/arena.h"
#include "lib/metrics/metrics.h"
#include <stdbool.h>

#define BATCH_RECORDS_DEFAULT 200
#define BATCH_BYTES (8 * 1024 * 1024) /* values of one batch; a larger one ends it */
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 5000
#define COMMIT_EVERY_MS 200 /* what a killed process repeats at most */
#define COMMIT_LOOK_MS 10   /* its answer wakes nobody */
#define IDLE_MARK_MS 100    /* a two-phase stage stores its last marks after this much quiet */
#define STOP_BOUND_MS 6000  /* below runit's 7 s */
#define WATCHDOG_S 60       /* the loop must turn; waits of the libraries are bounded far below */
#define INPUTS_MAX 8

struct runtime;

/* One record to be produced. Stays in its outbox until acknowledged; a failed one is sent again. */
struct output {
    struct outbox *box;
    const struct topic_spec *topic;
    int32_t partition;
    struct span key, value;
    struct bus_header *headers;
    size_t header_count;
    enum { OUTPUT_WAITING, OUTPUT_SENT, OUTPUT_ACKED } state;
};

struct outbox {
    struct runtime *rt;
    struct arena arena;
    struct output **outputs; /* one allocation each: a delivery report holds the address */
    size_t count, cap;
    size_t acked, in_flight;
    bool handed_over, abandoned, best_effort;
    void *owner;         /* ticket, or NULL for a batch */
    struct outbox *next; /* list of those with something to send; or free list */
    struct outbox *all;  /* every one there is */
    bool listed;
    int64_t linger_ms; /* until then it may wait for others of its partition; 0 = not */
};

struct outbox *outbox_new(struct runtime *rt);
void outboxes_free(struct runtime *rt);
/* Sends what was added to env.best_effort. */
void outbox_send_best_effort(struct runtime *rt);
/* From now on its records travel; outbox_done(...) is called when all are acknowledged. */
void outbox_hand_over(struct outbox *out);
/* Nobody waits for it any more; freed when the library has let go of it. */
void outbox_abandon(struct outbox *out);
/* Sends what waits, as far as the local queue takes it. -1: a fatal error. */
int outboxes_send(struct runtime *rt, struct err *err) MUST_CHECK;
/* When outboxes_send has something to do; INT64_MAX: not before something comes. */
int64_t outboxes_due_ms(const struct runtime *rt);
void outbox_delivered(void *runtime, const struct delivery *delivery);

enum ticket_state { TICKET_OPEN, TICKET_HELD, TICKET_FINISHED, TICKET_ACKED };
struct ticket {
    struct record rec; /* its bytes are in copy */
    void *copy;
    struct outbox *out;
    struct part *part;
    struct ticket *next; /* in log order within the partition; or free list */
    int64_t taken_ns, finished_ns;
    int64_t due_ms; /* TICKET_HELD: when it is offered again */
    enum ticket_state state;
};

struct part { /* a partition of an input */
    enum topic topic;
    int32_t partition;
    bool assigned;
    int64_t next; /* after the last record taken; -1 = none was taken since the assignment */
    int64_t done; /* after the last one whose outputs are acknowledged, contiguously; -1 = none */
    int64_t batch_end;  /* BATCH: what the batch in flight reaches */
    int64_t committing; /* what the open commit says; -1 = it says nothing */
    int64_t
        stored; /* what the group's offsets or the database hold by our own doing; -1 = unknown */
    struct ticket *head, *tail;
    struct ticket *held; /* ASYNC: the record that start() did not take; it is the last one */
};

struct input {
    enum topic topic;
    struct part *parts;
    int32_t count;
    bool paused; /* ASYNC: as a whole, because start() had no room */
};

enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_RECOVERING, PHASE_STOPPING, PHASE_DONE };

struct runtime {
    const struct stage *stage;
    void *self;
    bool stage_open;
    struct stage_env env;
    struct bus_config bus;
    struct rnd rnd;
    struct clock clock;
    const char *group;
    struct producer *producer;
    struct consumer *consumer;
    enum phase phase;
    bool assignment_seen, topics_checked, warmed;
    struct input inputs[INPUTS_MAX];
    size_t input_count, assigned;
    /* errors and their pauses */
    int64_t backoff_ms, due_ms, resend_ms, stop_ms;
    int status;
    struct err failed; /* of a callback */
    /* outputs */
    struct outbox *sending, *free_outboxes, *all_outboxes;
    size_t in_flight;
    /* BATCH */
    struct record *stash;
    size_t stash_max, stash_count, stash_bytes;
    struct outbox *batch;
    bool batch_over; /* SOURCE: acknowledged, to be marked */
    bool ask_again;  /* SOURCE: handle() is due */
    int64_t batch_ns, quiet_ms, blocked_ms;
    struct mark *marks;
    /* ASYNC */
    struct ticket *free_tickets;
    size_t tickets;
    int64_t commit_ms;
    bool commit_open;
    bool stage_readable;
    struct metrics_server *metrics;
    int signal_fd;
};

/* parts.c */
struct part *part_find(struct runtime *rt, const char *topic, int32_t partition);
void parts_open(struct runtime *rt);
void parts_close(struct runtime *rt);
int parts_on_assign(void *runtime, struct partition_at *parts, size_t count, struct err *err);
void parts_on_revoke(void *runtime, const struct partition_at *parts, size_t count, bool lost);
/* Commits to the group what is done and not committed yet. */
int parts_commit(struct runtime *rt, struct err *err) MUST_CHECK;
/* The same without waiting for the answer: 1 = taken, 0 = still open, -1 = not taken. */
int parts_commit_start(struct runtime *rt, struct err *err) MUST_CHECK;
int parts_commit_answer(struct runtime *rt, struct err *err) MUST_CHECK;
bool parts_commit_due(const struct runtime *rt);
/* Every partition back to where the stage goes on. */
int parts_seek_back(struct runtime *rt, struct err *err) MUST_CHECK;
#define EACH_PART(rt, part)                                                                        \
    for (size_t input_ = 0; input_ < (rt)->input_count; input_++)                                  \
        for (struct part *part = (rt)->inputs[input_].parts,                                       \
                         *end_ = part + (rt)->inputs[input_].count;                                \
             part < end_; part++)

/* batch.c, async.c: one turn of the loop while running; -1 = an error of any class. */
int batch_turn(struct runtime *rt, struct err *err) MUST_CHECK;
void batch_acked(struct runtime *rt, struct outbox *out);
void batch_drop(struct runtime *rt);
int64_t batch_due_ms(const struct runtime *rt);
int batch_finish(struct runtime *rt, bool *done, struct err *err) MUST_CHECK;
/* source.c */
int source_turn(struct runtime *rt, struct err *err) MUST_CHECK;
int64_t source_due_ms(const struct runtime *rt);
int source_finish(struct runtime *rt, bool *done, struct err *err) MUST_CHECK;
int async_turn(struct runtime *rt, struct err *err) MUST_CHECK;
void async_acked(struct runtime *rt, struct ticket *ticket);
void async_drop(struct runtime *rt, bool commit);
int64_t async_due_ms(const struct runtime *rt);
int async_finish(struct runtime *rt, bool *done, struct err *err) MUST_CHECK;

/* lifecycle.c: opens what is not open yet; may be called again after an error. */
int lifecycle_start(struct runtime *rt, struct err *err) MUST_CHECK;
/* After a pause: reopens the stage, seeks back, goes on. */
int lifecycle_recover(struct runtime *rt, struct err *err) MUST_CHECK;
void lifecycle_end(struct runtime *rt);
/* runtime.c */
/* Answers an error: pause and repeat, or the end of the process. */
void runtime_failed(struct runtime *rt, const struct err *err);
int64_t runtime_mono_ms(const struct runtime *rt);

/* watchdog.c */
void watchdog_start(const char *stage);
void watchdog_feed(void);
