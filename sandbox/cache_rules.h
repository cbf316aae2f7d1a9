/* Which compile is the same as an earlier one, and which is forgotten first.
 *
 * The pure half of cache.h: keys and the index of what is kept. No files, no clock, no allocation;
 * the caller owns the array and every text. A key is the whole text of everything a compile depends
 * on, compared byte by byte: the hash only narrows the search down, so that no collision can ever
 * give a program the binary of another one. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/uuid.h"
#include "schemas/languages.h"

#define CACHE_KEY_BYTES (2u << 20) /* a longer key is not kept */
#define CACHE_SHARE 4              /* one project holds at most this part of the bytes */

struct cache_source {
    const char *name;
    struct span bytes;
};

/* Everything a compile's output depends on, beside the project. */
struct cache_request {
    enum language language;
    const struct limits *limits; /* a compile that passes these may fail under others */
    struct span toolchain;       /* version, commands, environment, identity of the tools' files */
    const struct cache_source *sources;
    size_t source_count;
};

/* Appends the key's text; too long a one marks the buffer failed. */
void cache_key(const struct cache_request *request, struct buf *out);
/* False for a source that wants to know when it is compiled (__TIME__ and its like). */
bool cache_timeless(const struct cache_request *request);

struct cache_entry {
    struct uuid project; /* the scope: no other project finds it */
    uint64_t hash;       /* of the text */
    char *text;          /* the key; the index's owner frees it */
    size_t text_len;
    uint64_t number; /* names its directory */
    uint64_t bytes;  /* that it is counted with, key included */
    uint64_t output_bytes, files, sum;
    uint64_t used;     /* the index's clock when it was last asked for */
    int64_t stored_ns; /* monotonic */
};

struct cache_index {
    struct cache_entry *entries;
    size_t count, max_count;
    uint64_t bytes, max_bytes;
    uint32_t max_project_entries;
    uint64_t uses;
};

/* The entry of this project with exactly this key; NULL = none. It counts as used. */
struct cache_entry *cache_find(struct cache_index *index, const struct uuid *project,
                               struct span text);
/* False when something so large is not kept at all. */
bool cache_worth(const struct cache_index *index, uint64_t bytes);
/* What must go before an entry of this size and project fits, the least recently used first: one of
 * the project's own while the project is over its share, else of all. NULL = it fits. */
struct cache_entry *cache_victim(const struct cache_index *index, const struct uuid *project,
                                 uint64_t bytes);
/* Takes the entry over; there must be room (cache_victim says NULL). */
void cache_add(struct cache_index *index, const struct cache_entry *entry);
/* Takes it off the index; its text is the caller's again. Moves another entry into its place. */
struct cache_entry cache_remove(struct cache_index *index, struct cache_entry *entry);
/* The entry that was stored first; NULL = none is there. */
struct cache_entry *cache_oldest(const struct cache_index *index);
