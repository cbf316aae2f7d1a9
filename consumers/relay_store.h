/* relay's statements: what is due, and what was published (delivery.md rule 28). One transaction
 * from relay_take to relay_mark; rows of another relay are skipped, never waited for. Called by
 * relay.c alone. */
#pragma once
#include "lib/db/db.h"
#include "schemas/envelope.h"

struct relay_endpoint { /* a row whose change is not published yet */
    struct uuid id, project;
    int64_t version;
    bool disabled, deleted;
    struct span sealed; /* of relay_work's results */
};

enum relay_fate { RELAY_PUBLISH, RELAY_DROP };
struct relay_message {
    struct uuid subject, endpoint, project; /* subject: the submission, or what stands in for it */
    enum webhook_event event;
    uint32_t generation;
    bool bare;      /* of a one-submission endpoint */
    bool of_result; /* the evidence is told; else data */
    struct span data;
    uint16_t class; /* where the evidence lies */
    int32_t day;
    struct uuid evidence;
    bool erased; /* also when there is no row any more */
    int64_t evidence_key;
    struct span sealed;
    uint16_t own_class; /* the data key of the subject itself: an alias has its own */
    int64_t own_key;
    /* set by relay.c */
    enum relay_fate fate;
    const char *why; /* of RELAY_DROP: a name of attempt_errors.def */
    struct uuid message;
};

struct relay_work {
    struct relay_endpoint *endpoints;
    size_t endpoint_count;
    struct relay_message *messages;
    size_t message_count, max;
    /* memory and answers of the statements */
    struct db_result changed, due, *evidence, *marks;
    size_t evidence_count;
    struct uuid *ids;
    int64_t *events;
};

int relay_work_open(struct relay_work *work, size_t max, struct err *err) MUST_CHECK;
void relay_work_close(struct relay_work *work);
/* Begins a transaction and takes up to max changed endpoints or, when there are none, due messages
 * of endpoints that are published, with subjects from `since` on. Nothing to do: no transaction
 * stays open. Spans live until the next call. */
int relay_take(struct db *db, struct relay_work *work, const struct uuid *since,
               struct err *err) MUST_CHECK;
/* Everything taken is acknowledged, or dropped: marks it and commits. */
int relay_mark(struct db *db, struct relay_work *work, int64_t now_ns, struct err *err) MUST_CHECK;
