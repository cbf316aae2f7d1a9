/* A hash table of ids with marks, and the one place that says in which class an id is. */
#include "producers/cli/balance_rules.h"
#include "lib/base/strict.h"
#include <stdlib.h>

enum {
    MARK_USED = 1 << 0,
    MARK_ACCEPTED = 1 << 1,
    MARK_CARRIER = 1 << 2,
    MARK_EXPIRED = 1 << 3,
    MARK_DEAD = 1 << 4,
    MARK_STATE = 7 << 5, /* 0 = no row, else 1 + enum row_state */
};
#define STATE_SHIFT 5
#define FIRST_SLOTS 1024

void balance_init(struct balance *balance, size_t max_ids)
{
    *balance = (struct balance){.max_ids = max_ids};
}

void balance_done(struct balance *balance)
{
    free(balance->ids);
    free(balance->marks);
    balance_init(balance, balance->max_ids);
}

/* The slot of id, or the free one where it belongs. */
static size_t slot_of(const struct balance *balance, const struct uuid *id)
{
    uint64_t high, low;
    memcpy(&high, id->bytes, 8);
    memcpy(&low, id->bytes + 8, 8);
    uint64_t hash = (high ^ low * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);
    size_t slot = (hash ^ hash >> 32) & (balance->slots - 1);
    while (balance->marks[slot] && !uuid_eq(&balance->ids[slot], id))
        slot = (slot + 1) & (balance->slots - 1);
    return slot;
}

static int grow(struct balance *balance, struct err *err)
{
    size_t slots = balance->slots ? balance->slots * 2 : FIRST_SLOTS;
    struct balance larger = {.slots = slots, .used = balance->used, .max_ids = balance->max_ids};
    larger.ids = calloc(slots, sizeof *larger.ids);
    larger.marks = calloc(slots, 1);
    if (!larger.ids || !larger.marks) {
        balance_done(&larger);
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu ids; use --since", slots / 4 * 3);
    }
    for (size_t i = 0; i < balance->slots; i++) {
        if (!balance->marks[i])
            continue;
        size_t slot = slot_of(&larger, &balance->ids[i]);
        larger.ids[slot] = balance->ids[i];
        larger.marks[slot] = balance->marks[i];
    }
    balance_done(balance);
    *balance = larger;
    return 0;
}

static int mark(struct balance *balance, const struct uuid *id, unsigned marks, struct err *err)
{
    if (balance->used >= balance->slots / 4 * 3 && grow(balance, err))
        return -1;
    size_t slot = slot_of(balance, id);
    if (!balance->marks[slot]) {
        if (balance->used >= balance->max_ids)
            return err_set(err, ERR_TOO_LARGE,
                           "more than %zu ids; use --since DAY or raise --max-ids",
                           balance->max_ids);
        balance->used++;
        balance->ids[slot] = *id;
    }
    balance->marks[slot] |= (uint8_t)(marks | MARK_USED);
    return 0;
}

int balance_row_state(struct span decision, struct span evidence_state, enum row_state *out,
                      struct err *err)
{
    static const char *const open[] = {"admit", "rejected", "cancelled", "unreadable", "conflict"};
    if (span_is(evidence_state, "erased") || span_is(decision, "erased")) {
        *out = ROW_ERASED;
        return 0;
    }
    if (span_is(decision, "alias")) {
        *out = ROW_ALIAS;
        return 0;
    }
    if (evidence_state.data) {
        *out = ROW_FINISHED;
        return span_is(evidence_state, "stored") ? 0
                                                 : err_set(err, ERR_BUG, "unknown evidence state");
    }
    *out = ROW_HELD;
    if (span_is(decision, "held"))
        return 0;
    *out = ROW_OPEN;
    for (size_t i = 0; i < COUNT_OF(open); i++)
        if (span_is(decision, open[i]))
            return 0;
    return err_set(err, ERR_BUG, "unknown decision of a submission");
}

int balance_row(struct balance *balance, const struct uuid *id, enum row_state state,
                struct err *err)
{
    return mark(balance, id, ((unsigned)state + 1) << STATE_SHIFT, err);
}

int balance_accepted(struct balance *balance, const struct uuid *id, bool expired, struct err *err)
{
    return mark(balance, id, MARK_ACCEPTED | (expired ? MARK_EXPIRED : 0u), err);
}

int balance_carrier(struct balance *balance, const struct uuid *id, struct err *err)
{
    return mark(balance, id, MARK_CARRIER, err);
}

int balance_dead(struct balance *balance, const struct uuid *id, struct err *err)
{
    return mark(balance, id, MARK_DEAD, err);
}

/* The counter of an accepted id's class: a closed row first, then what explains a missing one, then
 * carriers. */
static uint64_t *class_of(unsigned marks, struct balance_count *count)
{
    unsigned state = (marks & MARK_STATE) >> STATE_SHIFT;
    if (state == 1 + ROW_FINISHED)
        return &count->finished;
    if (state == 1 + ROW_ALIAS)
        return &count->alias;
    if (state == 1 + ROW_ERASED)
        return &count->erased;
    if (state == 1 + ROW_HELD) {
        count->held++;
        return &count->in_flight;
    }
    if (state == 0 && (marks & MARK_EXPIRED))
        return &count->expired;
    if (state == 0 && (marks & MARK_DEAD))
        return &count->dead;
    return marks & MARK_CARRIER ? &count->in_flight : &count->difference;
}

struct balance_count balance_classes(const struct balance *balance, struct uuid *lost,
                                     size_t capacity)
{
    struct balance_count count = {0};
    for (size_t i = 0; i < balance->slots; i++) {
        if (!(balance->marks[i] & MARK_ACCEPTED))
            continue;
        uint64_t *class_count = class_of(balance->marks[i], &count);
        count.accepted++;
        if (class_count == &count.difference && lost && *class_count < capacity)
            lost[*class_count] = balance->ids[i];
        ++*class_count;
    }
    return count;
}
