/* What a stage is: a descriptor and a handful of functions. The runtime polls, batches, produces,
 * awaits acknowledgements, keeps offsets, retries, pauses and shuts down; it knows no stage by
 * name.
 *
 * Three kinds:
 *  BATCH  handle() gets up to 200 records in log order and adds its outputs; the runtime produces
 *         them all, awaits every acknowledgement, then lets the offset advance once (delivery.md
 *         rules 1-3, 10).
 *  ASYNC  start() gets one record and a ticket; the stage finishes tickets in any order from
 *         ready(); the runtime produces a ticket's outputs, awaits them, and commits the contiguous
 * low-water mark (rule 5). When start() answers STAGE_FULL the record stays in hand, the partitions
 * of its topic are paused, and start() is asked again after each ready(): accept again only when
 * there is room for many.
 *  SOURCE reads no topic: handle() gets an empty batch and adds what its own source has, at start,
 *         when fd() is readable, at next_due_ms(), and again after each batch that had outputs.
 *         Once they are all acknowledged acked() marks them at the source; after an error instead
 *         of it everything comes again.
 *
 * Offsets:
 *  OFFSETS_KAFKA     committed to the group after the outputs are acknowledged.
 *  OFFSETS_DATABASE  kept by the stage in consumer_offsets: load_offsets() on assignment, and marks
 * given to handle(): `store` = what this call's transaction may set next_offset to. A stage whose
 * effects are complete in its transaction (persist) has `marks_with_batch`: store covers the batch
 * itself; a call of it that adds outputs (dead letters) leaves store alone, and gets the marks
 * again, with the next batch or an empty one, once they are acknowledged. Otherwise (admit,
 * two-phase) store covers earlier batches whose outputs are acknowledged; handle() is called with 0
 * records when idle and a mark is due.
 *
 * Errors of handle/start: class systemic or retry: the runtime backs off (50 ms to 5 s, jittered),
 * calls reopen(), seeks all partitions back to their stored offsets and goes on; poison and
 * rejected never come out of a stage (it makes a terminal or dead record of them); fatal ends the
 * process with status 70. */
#pragma once
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/rnd.h"
#include "lib/config/config.h"
#include "lib/kafka/bus.h"
#include "schemas/envelope.h"

/* Outputs of one call. Everything is copied by outbox_add. */
struct outbox;
int outbox_add(struct outbox *out, enum topic topic, const struct envelope *env, struct span value,
               struct err *err) MUST_CHECK;
/* For topics whose partition is no function of the record: webhooks.retry.*. */
int outbox_add_at(struct outbox *out, enum topic topic, int32_t partition,
                  const struct envelope *env, struct span value, struct err *err) MUST_CHECK;
/* To topic `dead`, with the original bytes, key and headers, and why. For records without a
 * readable id or of a wrong day (delivery.md rules 6, 16). */
int outbox_dead(struct outbox *out, const struct record *rec, const char *why,
                struct err *err) MUST_CHECK;

struct mark {
    enum topic topic;
    int32_t partition;
    int64_t next_offset;
};

struct batch {
    const struct record *records; /* log order within a partition */
    size_t count;
    const struct mark *store; /* see OFFSETS_DATABASE */
    size_t store_count;
};

enum stage_kind { STAGE_BATCH, STAGE_ASYNC, STAGE_SOURCE };
enum stage_offsets { OFFSETS_KAFKA, OFFSETS_DATABASE };
/* WAIT: not before the time given to ticket_wait_until; the record stays in hand and its partition
 * alone is paused. */
enum stage_start { STAGE_STARTED, STAGE_FULL, STAGE_WAIT, STAGE_ERROR };

/* What a stage gets at open; all pointers live as long as the process. */
struct stage_env {
    const struct config *config;
    const struct clock *clock;
    struct rnd *rnd;
    const struct bus_config *bus;
    struct outbox
        *best_effort; /* records added here leave soon; nobody awaits their acknowledgement */
};

struct ticket; /* ASYNC: one record in hand; owned by the runtime */

struct stage {
    const char *name;
    const char *group; /* consumer group; part of the contract */
    enum stage_kind kind;
    enum stage_offsets offsets;
    bool marks_with_batch;
    const enum topic *inputs;
    size_t input_count;
    const enum topic *outputs; /* warmed up before readiness */
    size_t output_count;
    int linger_ms, fetch_min_bytes, fetch_wait_max_ms, gather_ms, queued_max_kbytes;
    enum setting metrics_listen; /* SETTING_metrics_listen_...; 0 = nowhere */
    enum setting batch_records;  /* BATCH: the most records of one batch; 0 = 200 */

    int (*open)(const struct stage_env *env, void **self, struct err *err);
    void (*close)(void *self);
    int (*reopen)(void *self, struct err *err);
    /* OFFSETS_DATABASE: fills marks (next_offset) for these partitions. */
    int (*load_offsets)(void *self, struct mark *marks, size_t count, struct err *err);
    /* BATCH, SOURCE */
    int (*handle)(void *self, const struct batch *batch, struct outbox *out, struct err *err);
    /* SOURCE: every output of the last handle() is acknowledged. */
    int (*acked)(void *self, struct err *err);
    /* ASYNC: rec is valid until the ticket is finished with ticket_finish(ticket). */
    enum stage_start (*start)(void *self, struct ticket *ticket, const struct record *rec,
                              struct err *err);
    int (*fd)(void *self); /* readable: ready() (SOURCE: handle()) is due; -1 = none */
    int (*ready)(void *self, struct err *err); /* finishes tickets with ticket_finish */
    int64_t (*next_due_ms)(void *self);        /* monotonic; INT64_MAX = no timer */
    /* Partitions taken away, or everything is repeated after an error: abandon these tickets (there
     * may be none), do not finish them. They are gone when this returns. */
    void (*revoked)(void *self, struct ticket *const *tickets, size_t count);
    /* ASYNC, may be NULL: a ticket's outputs are acknowledged, so long after ticket_finish. */
    void (*ticket_acked)(void *self, int64_t waited_ns);
    /* Shutdown: start nothing more; answers how many started tickets will still be finished soon.
     * Called in every turn of the loop until it answers 0 or the bound of 6 s is over. NULL: none
     * will. */
    size_t (*draining)(void *self);
};

/* ASYNC: a ticket's outputs are added to its outbox, ticket_finish hands them over; then the ticket
 * is gone for the stage. A ticket may be finished inside start(). */
struct outbox *ticket_outbox(struct ticket *ticket);
void ticket_finish(struct ticket *ticket);
/* Before ticket_finish: its outputs may wait so long for others of their partition, so that they
 * are one request, one flush of the disk and one answer to each reader. The first of these that
 * does not wait takes them along. */
void ticket_linger(struct ticket *ticket, int64_t linger_ms);
/* Inside start(), before STAGE_WAIT: when to offer it again, monotonic. */
void ticket_wait_until(struct ticket *ticket, int64_t due_ms);

/* The stage table of consumers/main.c; ends with a NULL name. */
extern const struct stage *const stages[];
