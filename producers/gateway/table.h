/* Intrusive hash table: nodes live in their owner's structs, the caller compares. Grows, never
 * shrinks; out of memory keeps the old size. */
#pragma once
#include "lib/base/strict.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    uint64_t hash;
};

struct table {
    struct node **buckets;
    size_t mask, count;
};

/* The last 8 of 16 or more random bytes (ids, hashes). */
static inline uint64_t table_hash(const uint8_t *bytes16)
{
    uint64_t hash;
    memcpy(&hash, bytes16 + 8, sizeof(hash));
    return hash * 0x9E3779B97F4A7C15u;
}

static inline size_t table_slot(const struct table *table, uint64_t hash)
{
    return (size_t)(hash >> 20) & table->mask;
}

static inline void table_resize(struct table *table, size_t buckets)
{
    struct node **fresh = calloc(buckets, sizeof(struct node *));
    if (!fresh) {
        CHECK(table->buckets);
        return;
    }
    struct table grown = {fresh, buckets - 1, table->count};
    for (size_t i = 0; table->buckets && i <= table->mask; i++)
        for (struct node *node = table->buckets[i], *next; node; node = next) {
            next = node->next;
            size_t slot = table_slot(&grown, node->hash);
            node->next = fresh[slot];
            fresh[slot] = node;
        }
    free(table->buckets);
    *table = grown;
}

static inline void table_add(struct table *table, struct node *node, uint64_t hash)
{
    if (!table->buckets || table->count > table->mask)
        table_resize(table, table->buckets ? (table->mask + 1) * 2 : 64);
    size_t slot = table_slot(table, hash);
    node->hash = hash;
    node->next = table->buckets[slot];
    table->buckets[slot] = node;
    table->count++;
}

static inline void table_remove(struct table *table, struct node *node)
{
    struct node **at = &table->buckets[table_slot(table, node->hash)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    table->count--;
}

/* Every node of a bucket whose hash fits; compare, then table_next. */
static inline struct node *table_skip(struct node *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = node->next;
    return node;
}
static inline struct node *table_first(const struct table *table, uint64_t hash)
{
    return table->buckets ? table_skip(table->buckets[table_slot(table, hash)], hash) : NULL;
}
static inline struct node *table_next(const struct node *node)
{
    return table_skip(node->next, node->hash);
}

#define OWNER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
