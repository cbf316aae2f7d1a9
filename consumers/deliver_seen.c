/* See deliver_seen.h. Open addressing; a table doubles until its bound, then it becomes the old
 * one. */
#include "consumers/deliver_seen.h"
#include "lib/base/strict.h"
#include <stdlib.h>

#define SLOTS_MIN 1024
#define AGE_MS 600000

struct table {
    struct seen_entry *slots; /* generation of the key 0 and attempt 0 are fine: used says */
    bool *used;
    size_t size, count;
};

struct seen {
    struct table now, before;
    size_t most;
    int64_t turned_ms;
};

struct seen *seen_new(size_t most)
{
    struct seen *seen = calloc(1, sizeof *seen);

    CHECK(seen != NULL);
    seen->most = most;
    return seen;
}

static void table_done(struct table *table)
{
    free(table->slots);
    free(table->used);
    *table = (struct table){.slots = NULL};
}

void seen_reset(struct seen *seen)
{
    table_done(&seen->now);
    table_done(&seen->before);
}

void seen_free(struct seen *seen)
{
    if (!seen)
        return;
    seen_reset(seen);
    free(seen);
}

static bool same(const struct seen_key *a, const struct seen_key *b)
{
    return uuid_eq(&a->message, &b->message) && a->generation == b->generation &&
           a->attempt == b->attempt;
}

/* A webhook-id is an HMAC's output: its bytes are random already. */
static size_t slot_of(const struct table *table, const struct seen_key *key)
{
    uint64_t word;

    memcpy(&word, key->message.bytes, sizeof word);
    word ^= key->generation * 0x9e3779b97f4a7c15U ^ key->attempt * 0xc2b2ae3d27d4eb4fU;
    word ^= word >> 29;
    return (size_t)word & (table->size - 1);
}

static struct seen_entry *find_in(const struct table *table, const struct seen_key *key)
{
    if (table->size == 0)
        return NULL;
    for (size_t at = slot_of(table, key); table->used[at]; at = (at + 1) & (table->size - 1))
        if (same(&table->slots[at].key, key))
            return &table->slots[at];
    return NULL;
}

static struct seen_entry *insert(struct table *table, const struct seen_key *key)
{
    size_t at = slot_of(table, key);

    while (table->used[at])
        at = (at + 1) & (table->size - 1);
    table->used[at] = true;
    table->count++;
    table->slots[at] = (struct seen_entry){.key = *key};
    return &table->slots[at];
}

static void grow(struct table *table)
{
    struct table bigger = {.size = table->size ? table->size * 2 : SLOTS_MIN};

    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    bigger.used = calloc(bigger.size, sizeof *bigger.used);
    CHECK(bigger.slots && bigger.used);
    for (size_t i = 0; i < table->size; i++)
        if (table->used[i])
            *insert(&bigger, &table->slots[i].key) = table->slots[i];
    table_done(table);
    *table = bigger;
}

static void turn_over(struct seen *seen)
{
    table_done(&seen->before);
    seen->before = seen->now;
    seen->now = (struct table){.slots = NULL};
}

struct seen_entry *seen_find(struct seen *seen, const struct seen_key *key)
{
    struct seen_entry *entry = find_in(&seen->now, key);

    return entry ? entry : find_in(&seen->before, key);
}

struct seen_entry *seen_put(struct seen *seen, const struct seen_key *key)
{
    struct seen_entry *entry = seen_find(seen, key);

    if (entry)
        return entry;
    if (seen->now.count >= seen->most)
        turn_over(seen);
    if (seen->now.count * 2 >= seen->now.size)
        grow(&seen->now);
    return insert(&seen->now, key);
}

void seen_age(struct seen *seen, int64_t mono_ms)
{
    if (seen->turned_ms == 0)
        seen->turned_ms = mono_ms;
    if (mono_ms - seen->turned_ms < AGE_MS)
        return;
    seen->turned_ms = mono_ms;
    turn_over(seen);
}

size_t seen_count(const struct seen *seen)
{
    return seen->now.count + seen->before.count;
}
