/* Message lifetime: memory that is given back all at once.
 *
 * arena_reset keeps the first block. Nothing allocated here is freed singly; spans into it are
 * valid until the reset. Allocation returns NULL past the maximum. Not thread-safe. */
#pragma once
#include "lib/base/span.h"

struct arena {
    struct arena_block *first, *current;
    size_t used, max;
};

void arena_init(struct arena *arena, size_t max_bytes);
void arena_done(struct arena *arena);
void arena_reset(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t bytes)
    __attribute__((malloc));                             /* zeroed, 16-aligned */
char *arena_text(struct arena *arena, struct span text); /* NUL-terminated copy */
struct span arena_copy(struct arena *arena, struct span bytes);
