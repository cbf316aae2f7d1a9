/* The compile cache: what a compile made, kept for the next job of the same project with exactly
 * the same source, compiler, commands and limits.
 *
 * Lives in the launcher's memory alone (a tmpfs that is mounted nowhere, and heap) and dies with
 * it. Only outputs of compiles that ended well are kept. No sandbox ever sees the kept files: each
 * hit makes a copy of its own, through the same harvest as a compile. Whatever goes wrong in here
 * is a miss, never a failed job. */
#pragma once
#include "sandbox/cache_rules.h"
#include "sandbox/harvest.h"
#include "sandbox/loop.h"
#include "sandbox/toolchains.h"

#define CACHE_ENTRIES_MAX 4096
#define CACHE_BYTES_MIN (UINT64_C(64) << 10)
#define CACHE_BYTES_DEFAULT (UINT64_C(256) << 20)
#define CACHE_BYTES_MAX (UINT64_C(64) << 30)
#define CACHE_PROJECT_ENTRIES_DEFAULT 256
#define CACHE_AGE_NS (INT64_C(24) * 3600 * 1000000000) /* no source is kept longer */

struct cache;

struct cache_limits {
    uint64_t bytes; /* of all entries, sources included */
    uint32_t project_entries;
    int64_t age_ns; /* since an entry was made, however often it was used */
};

/* NULL in *out when limits say 0 bytes. The loop outlives the cache. */
int cache_open(struct loop *loop, const struct cache_limits *limits, struct cache **out,
               struct err *err) MUST_CHECK;
void cache_close(struct cache *cache); /* NULL is fine */

/* What a job brings along from its arrival to the end of its compile. */
struct cache_ticket {
    struct uuid project;
    uint64_t epoch; /* cache_epoch() when the job arrived */
    struct buf key; /* empty = not to be kept */
};
void cache_ticket_done(struct cache_ticket *ticket);
uint64_t cache_epoch(const struct cache *cache);

/* Fills the ticket's key from the job's compile; false when there is nothing to look for: no cache,
 * too large, or a source that asks for the time. */
bool cache_ask(struct cache *cache, const struct toolchain *toolchain, const struct limits *limits,
               const struct cache_source *sources, size_t count, struct cache_ticket *ticket);
/* A /box as harvest would have made it from the compile, the caller's; -1 = a miss. */
int cache_take(struct cache *cache, const struct cache_ticket *ticket, const struct harvest *what);
/* Keeps a copy of /box, of which the harvest took `took`. Not for a project that was forgotten
 * since the job's arrival. */
void cache_put(struct cache *cache, struct cache_ticket *ticket, int box_mount,
               const struct harvest *what, const struct harvested *took);
/* Drops all of a project, also what its jobs in flight would still add; returns how many there
 * were. */
uint64_t cache_forget(struct cache *cache, const struct uuid *project);
