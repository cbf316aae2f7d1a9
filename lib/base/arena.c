/* A chain of blocks. An allocation comes from the newest block or from a new one of at least
 * BLOCK_BYTES, the first of FIRST_BYTES: thousands of arenas may be in use with little in each.
 * arena_reset frees all but the first. `used` counts what was handed out. */
#include "lib/base/arena.h"
#include <stdlib.h>

#define FIRST_BYTES ((size_t)4 * 1024)
#define BLOCK_BYTES ((size_t)16 * 1024)
#define ALIGN ((size_t)16)

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    size_t unused; /* keeps `bytes` 16-aligned */
    unsigned char bytes[];
};
_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "arena blocks keep 16-byte alignment");

void arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){.max = max_bytes};
}

static void free_after(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_done(struct arena *arena)
{
    free_after(arena->first);
    *arena = (struct arena){.max = arena->max};
}

void arena_reset(struct arena *arena)
{
    if (arena->first) {
        free_after(arena->first->next);
        arena->first->next = NULL;
        arena->first->used = 0;
    }
    arena->current = arena->first;
    arena->used = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t bytes)
{
    size_t least = arena->first ? BLOCK_BYTES : FIRST_BYTES, cap = bytes > least ? bytes : least;
    struct arena_block *block = malloc(sizeof *block + cap);
    if (!block)
        return NULL;
    *block = (struct arena_block){.cap = cap};
    if (arena->current)
        arena->current->next = block;
    else
        arena->first = block;
    arena->current = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (bytes > arena->max || bytes > SIZE_MAX - ALIGN)
        return NULL;
    size_t rounded = bytes == 0 ? ALIGN : (bytes + ALIGN - 1) & ~(ALIGN - 1);
    if (arena->used + bytes > arena->max)
        return NULL;
    struct arena_block *block = arena->current;
    if (!block || block->cap - block->used < rounded)
        block = add_block(arena, rounded);
    if (!block)
        return NULL;
    void *out = block->bytes + block->used;
    block->used += rounded;
    arena->used += rounded;
    memset(out, 0, rounded);
    return out;
}

char *arena_text(struct arena *arena, struct span text)
{
    if (text.len == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, text.len + 1);
    if (copy && text.len > 0)
        memcpy(copy, text.data, text.len);
    return copy;
}

struct span arena_copy(struct arena *arena, struct span bytes)
{
    void *copy = arena_alloc(arena, bytes.len);
    if (!copy)
        return span_of(NULL, 0);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    return span_of(copy, bytes.len);
}
