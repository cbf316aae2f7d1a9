/* What the files of POST /api/submit share; nobody else includes it.
 *
 * submit.c takes requests in and owns their lives, submit_hold.c lets them travel together,
 * submit_log.c seals, produces and finds out who owns an Idempotency-Key, submit_wait.c answers and
 * wakes who waits for a verdict. */
#pragma once

#include "lib/base/enc.h"
#include "producers/gateway/gateway.h"
#include "schemas/payload.h"

enum phase { PHASE_OWNER, PHASE_HELD, PHASE_FLIGHT, PHASE_TAIL, PHASE_ROWS, PHASE_WAIT };

struct submit {
    struct flight flight;
    struct submit *prev, *next; /* held, in flight, or waiting for the own tail */
    struct submits *subs;
    struct request *req; /* NULL: answered or gone */
    struct project *project;
    enum phase phase;
    bool wait, keyed, in_flight, asked, has_waiter, has_place;
    struct uuid id, told;
    uint8_t key_hash[32], fingerprint[32];
    struct submission sub; /* spans into the body's arena while it is parsed */
    int32_t partition;
    int64_t offset, sent_ms, sent_ns;
    struct buf held;            /* the packed submission while it is held */
    struct key_record *records; /* of the own tail */
    size_t record_count;
    struct lookup *lookup;
    struct node waiter;
    struct due due;
};

struct submits {
    struct gateway *gw;
    struct submit held, flights, behind; /* list heads */
    struct table waiters;                /* by told id */
    size_t places, in_flight; /* places: requests that wait, or will once they are acknowledged */
    size_t held_count;
    int64_t took_ms; /* from producing to the verdict, of the latest */
    struct due_queue ack_due, wait_due;
    struct buf plain, sealed, canonical, aad; /* reused */
};

void submit_list_init(struct submit *head);
void submit_list_leave(struct submit *sub);
void submit_list_join(struct submit *head, struct submit *sub); /* at its end */

/* submit.c */
void submit_finish(struct submit *sub); /* the request is over; its record may still be in flight */
MUST_CHECK int submit_parse(struct submit *sub, char field[FIELD_NAME], struct err *err);

/* submit_hold.c */
bool submit_worth_holding(size_t ahead, int64_t took_ms);
bool submit_hold(struct submit *sub);
void submit_hold_leave(struct submit *sub); /* does nothing when it is not held */
int64_t submit_hold_turn(void *submits);
void submit_took(struct submits *subs, int64_t took_ms);

#define SUBMIT_LOG_AWAY "the log is away; nothing was accepted, send it again"

/* submit_log.c */
void submit_send(struct submit *sub); /* the parsed submission is in subs->plain */
void submit_tell_judged(struct submit *sub, const struct key_record *records, size_t count);
void submit_ack_due(struct due *due);
void submit_delivered(struct flight *flight, const struct delivery *delivery);

/* submit_wait.c: every answer ends the request */
void submit_answer_error(struct submit *sub, enum api_error error, const char *message);
void submit_answer_body(struct submit *sub, int status, struct buf *body); /* takes the body */
void submit_tell(struct submit *sub, const struct uuid *id);
void submit_wait_leave(struct submit *sub);
void submit_wait_due(struct due *due);
