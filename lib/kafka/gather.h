/* The decision of gather.c, for it and its test: how long an answer of so many bytes waits. None
 * while answers are rare or large; so long that they come apart_ns apart while they are frequent.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gather {
    pthread_mutex_t lock;
    pthread_cond_t hurry;
    bool hurried;              /* somebody waits: no answer does */
    int64_t apart_ns, paid_ns; /* every answer costs apart_ns; paid up to then */
};
void gather_init(struct gather *gather);
void gather_done(struct gather *gather);
/* Any thread; true also ends a wait that has begun. */
void gather_hurry(struct gather *gather, bool hurry);
int64_t gather_wait_ns(struct gather *gather, int64_t now_ns, size_t bytes);
