/* ASYNC stages: a ticket per record, finished in any order; the contiguous low-water mark is
 * committed.
 *
 * A record that the stage did not take stays in hand. No room: all partitions of its topic are
 * paused. Not yet due: its own partition alone. Everything else goes on. */
#include "consumers/runtime/internal.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include <stdlib.h>

#define RECORDS_A_TURN 64

static struct ticket *ticket_new(struct runtime *rt)
{
    struct ticket *ticket = rt->free_tickets;

    if (ticket)
        rt->free_tickets = ticket->next;
    else
        ticket = malloc(sizeof *ticket);
    CHECK(ticket != NULL);
    rt->tickets++;
    return ticket;
}

static void *copied(unsigned char **room, const void *bytes, size_t len)
{
    void *copy = *room;

    if (len > 0)
        memcpy(copy, bytes, len);
    *room += len;
    return copy;
}

/* The library's message keeps the whole answer of the broker that it came with, of all partitions:
 * one record that waits in hand would hold a hundred others. */
static void own_bytes(struct ticket *ticket)
{
    struct record *rec = &ticket->rec;
    size_t count = rec->header_count < BUS_HEADERS_MAX ? rec->header_count : BUS_HEADERS_MAX;
    size_t bytes = rec->key.len + rec->value.len + 1;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(rec->headers[i].name) + 1 + rec->headers[i].value.len;
    unsigned char *room = ticket->copy = malloc(bytes);
    CHECK(room != NULL);
    for (size_t i = 0; i < count; i++) {
        struct bus_header *header = &rec->headers[i];
        header->name = copied(&room, header->name, strlen(header->name) + 1);
        if (header->value.data)
            header->value.data = copied(&room, header->value.data, header->value.len);
    }
    if (rec->key.data)
        rec->key.data = copied(&room, rec->key.data, rec->key.len);
    if (rec->value.data)
        rec->value.data = copied(&room, rec->value.data, rec->value.len);
    record_done(rec);
}

static void let_go(struct ticket *ticket)
{
    free(ticket->copy);
    ticket->copy = NULL;
}

static void ticket_free(struct runtime *rt, struct ticket *ticket)
{
    let_go(ticket);
    rt->tickets--;
    ticket->next = rt->free_tickets;
    rt->free_tickets = ticket;
}

struct outbox *ticket_outbox(struct ticket *ticket)
{
    return ticket->out;
}

static void advance(struct runtime *rt, struct part *part)
{
    while (part->head && part->head->state == TICKET_ACKED) {
        struct ticket *ticket = part->head;
        part->done = ticket->rec.offset + 1;
        part->head = ticket->next;
        if (!part->head)
            part->tail = NULL;
        ticket_free(rt, ticket);
    }
}

void async_acked(struct runtime *rt, struct ticket *ticket)
{
    ticket->state = TICKET_ACKED;
    ticket->out = NULL;
    rt->backoff_ms = BACKOFF_MIN_MS;
    metric_observe(METRIC_handle_seconds, rt->stage->name,
                   (uint64_t)(rt->clock.mono_ns(&rt->clock) - ticket->taken_ns));
    if (rt->stage->ticket_acked)
        rt->stage->ticket_acked(rt->self, rt->clock.mono_ns(&rt->clock) - ticket->finished_ns);
    advance(rt, ticket->part);
}

void ticket_finish(struct ticket *ticket)
{
    CHECK(ticket->state == TICKET_OPEN);
    ticket->state = TICKET_FINISHED;
    ticket->finished_ns = ticket->out->rt->clock.mono_ns(&ticket->out->rt->clock);
    let_go(ticket); /* its offset stays */
    outbox_hand_over(ticket->out);
}

void ticket_linger(struct ticket *ticket, int64_t linger_ms)
{
    ticket->out->linger_ms = runtime_mono_ms(ticket->out->rt) + linger_ms;
}

static struct input *input_of(struct runtime *rt, enum topic topic)
{
    for (size_t i = 0; i < rt->input_count; i++)
        if (rt->inputs[i].topic == topic)
            return &rt->inputs[i];
    return NULL;
}

void ticket_wait_until(struct ticket *ticket, int64_t due_ms)
{
    ticket->due_ms = due_ms;
}

static int set_paused(struct runtime *rt, const struct part *part, bool paused, struct err *err)
{
    const char *name = topic_spec(part->topic)->name;

    return paused ? consumer_pause(rt->consumer, name, part->partition, err)
                  : consumer_resume(rt->consumer, name, part->partition, err);
}

/* All partitions but those whose head waits in hand: they are paused anyway. */
static int set_all_paused(struct runtime *rt, struct input *input, bool paused, struct err *err)
{
    input->paused = paused;
    for (int32_t p = 0; p < input->count; p++)
        if (input->parts[p].assigned && !input->parts[p].held &&
            set_paused(rt, &input->parts[p], paused, err) < 0)
            return -1;
    return 0;
}

static int taken(struct runtime *rt, struct input *input, struct part *part, bool was_held,
                 struct err *err)
{
    part->held = NULL;
    if (input->paused)
        return set_all_paused(rt, input, false, err);
    return was_held ? set_paused(rt, part, false, err) : 0;
}

static int hold(struct runtime *rt, struct part *part, struct ticket *ticket, struct err *err)
{
    ticket->state = TICKET_HELD;
    if (part->held)
        return 0;
    part->held = ticket;
    return set_paused(rt, part, true, err);
}

static int offer(struct runtime *rt, struct input *input, struct ticket *ticket, struct err *err)
{
    struct part *part = ticket->part;
    bool was_held = part->held == ticket;

    ticket->state = TICKET_OPEN;
    ticket->due_ms = INT64_MIN;
    switch (rt->stage->start(rt->self, ticket, &ticket->rec, err)) {
    case STAGE_STARTED: /* the ticket may be gone by now */
        return taken(rt, input, part, was_held, err);
    case STAGE_FULL:
        if (hold(rt, part, ticket, err) < 0)
            return -1;
        return input->paused ? 0 : set_all_paused(rt, input, true, err);
    case STAGE_WAIT:
        if (hold(rt, part, ticket, err) < 0)
            return -1;
        return input->paused ? set_all_paused(rt, input, false, err) : 0; /* it had room for this */
    case STAGE_ERROR:
        ticket->state = TICKET_HELD; /* the stage does not have it */
        break;
    }
    return -1;
}

static int take(struct runtime *rt, struct record *rec, struct err *err)
{
    struct part *part = part_find(rt, rec->topic, rec->partition);
    struct input *input = part ? input_of(rt, part->topic) : NULL;
    struct ticket *ticket;

    if (!part || !part->assigned || part->held || input->paused) {
        record_done(rec);
        return err_set(err, ERR_BUSY, "a record of a partition that is not being read");
    }
    bool probe = record_is_probe(rec);
    ticket = ticket_new(rt);
    *ticket = (struct ticket){
        .rec = *rec, .part = part, .taken_ns = rt->clock.mono_ns(&rt->clock), .state = TICKET_OPEN};
    own_bytes(ticket);
    part->next = rec->offset + 1;
    if (part->done < 0)
        part->done = rec->offset;
    if (part->tail)
        part->tail->next = ticket;
    else
        part->head = ticket;
    part->tail = ticket;
    metric_add(METRIC_records_in_total, rec->topic, 1);
    if (probe) {
        ticket->state = TICKET_ACKED;
        advance(rt, part);
        return 0;
    }
    ticket->out = outbox_new(rt);
    ticket->out->owner = ticket;
    return offer(rt, input, ticket, err);
}

static int take_some(struct runtime *rt, bool *some, struct err *err)
{
    struct record rec;

    for (int i = 0; i < RECORDS_A_TURN; i++) {
        int got = consumer_poll(rt->consumer, 0, &rec, err);
        if (got < 0 || (got > 0 && take(rt, &rec, err) < 0))
            return -1;
        if (got == 0)
            return 0;
        *some = true;
    }
    return 0;
}

static bool stage_due(struct runtime *rt)
{
    return rt->stage_readable ||
           (rt->stage->next_due_ms && rt->stage->next_due_ms(rt->self) <= runtime_mono_ms(rt));
}

static int64_t first_held_due_ms(const struct runtime *rt)
{
    int64_t first_ms = INT64_MAX;

    EACH_PART(rt, part)
    if (part->held && part->held->due_ms > INT64_MIN && part->held->due_ms < first_ms)
        first_ms = part->held->due_ms;
    return first_ms;
}

/* Those whose time has come, and, after the stage's turn, those it had no room for: one of them is
 * enough to see that there is none for a topic yet. */
static int offer_held(struct runtime *rt, bool full_ones, bool *some, struct err *err)
{
    int64_t now_ms = runtime_mono_ms(rt);

    for (size_t i = 0; i < rt->input_count; i++) {
        struct input *input = &rt->inputs[i];
        for (int32_t p = 0; p < input->count; p++) {
            struct ticket *held = input->parts[p].held;
            bool full = held && held->due_ms == INT64_MIN;
            if (!held || full != full_ones || held->due_ms > now_ms)
                continue;
            if (offer(rt, input, held, err) < 0)
                return -1;
            if (input->parts[p].held != held)
                *some = true;
            else if (full)
                break;
        }
    }
    return 0;
}

/* Nobody waits for it: the loop has jobs to hand over meanwhile. */
static void commit(struct runtime *rt)
{
    struct err err = {0};
    int answer = 1;

    if (rt->commit_open)
        answer = parts_commit_answer(rt, &err);
    if (answer > 0 && rt->commit_ms <= runtime_mono_ms(rt) && parts_commit_due(rt)) {
        rt->commit_ms = runtime_mono_ms(rt) + COMMIT_EVERY_MS;
        metric_set(METRIC_in_hand_records, rt->stage->name, (int64_t)rt->tickets);
        answer = parts_commit_start(rt, &err);
    }
    if (answer >= 0)
        return;
    /* A late commit costs repeated work alone; the mark is committed with the next one. */
    rt->commit_ms = runtime_mono_ms(rt) + 1000;
    metric_add(METRIC_errors_total, err_name(err.code), 1);
    if (err_class(err.code) == ERR_FATAL)
        rt->failed = err;
    else
        log_event(LOG_WARN, "commit_failed", kv_err(&err));
}

int async_turn(struct runtime *rt, struct err *err)
{
    bool some = false;

    if (take_some(rt, &some, err) < 0 || offer_held(rt, false, &some, err) < 0)
        return -1;
    if (some || stage_due(rt)) {
        if (rt->stage->ready(rt->self, err) < 0 || offer_held(rt, true, &some, err) < 0)
            return -1;
    }
    commit(rt);
    return 0;
}

int64_t async_due_ms(const struct runtime *rt)
{
    int64_t due = rt->stage->next_due_ms ? rt->stage->next_due_ms(rt->self) : INT64_MAX;
    int64_t held = first_held_due_ms(rt);

    due = held < due ? held : due;
    if (rt->commit_open) {
        int64_t look = runtime_mono_ms(rt) + COMMIT_LOOK_MS;
        return look < due ? look : due;
    }
    return parts_commit_due(rt) && rt->commit_ms < due ? rt->commit_ms : due;
}

/* All tickets of a partition go; those the stage has are listed in open. */
static void drop_part(struct runtime *rt, struct part *part, struct ticket **open, size_t *count)
{
    for (struct ticket *ticket = part->head, *next; ticket; ticket = next) {
        next = ticket->next;
        if (ticket->out) {
            ticket->out->owner = NULL;
            outbox_abandon(ticket->out);
            ticket->out = NULL;
        }
        if (ticket->state == TICKET_OPEN)
            open[(*count)++] = ticket;
        else
            ticket_free(rt, ticket);
    }
    part->head = part->tail = part->held = NULL;
}

void async_drop(struct runtime *rt, bool with_commit)
{
    struct ticket **open = calloc(rt->tickets + 1, sizeof *open);
    struct err err = {0};
    size_t count = 0;

    CHECK(open != NULL);
    EACH_PART(rt, part)
    drop_part(rt, part, open, &count);
    if (rt->stage_open && rt->stage->revoked)
        rt->stage->revoked(rt->self, open, count);
    for (size_t i = 0; i < count; i++)
        ticket_free(rt, open[i]);
    for (size_t i = 0; i < rt->input_count; i++)
        rt->inputs[i].paused = false;
    free(open);
    if (with_commit && parts_commit_due(rt) && parts_commit(rt, &err) < 0)
        log_event(LOG_WARN, "commit_failed", kv_err(&err));
}

static size_t unacknowledged(struct runtime *rt)
{
    size_t count = 0;

    EACH_PART(rt, part)
    for (const struct ticket *ticket = part->head; ticket; ticket = ticket->next)
        count += ticket->state == TICKET_FINISHED;
    return count;
}

int async_finish(struct runtime *rt, bool *done, struct err *err)
{
    *done = false;
    if (rt->stage->draining && stage_due(rt) && rt->stage->ready(rt->self, err) < 0)
        return -1;
    if (rt->stage->draining && rt->stage->draining(rt->self) > 0)
        return 0;
    if (unacknowledged(rt) > 0)
        return 0;
    async_drop(rt, true);
    *done = true;
    return 0;
}
