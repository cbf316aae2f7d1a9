/* The decision of gather.c, for it and its test: how long an answer of so many bytes waits. None
 * while answers are rare or large; so long that they come apart_ns apart while they are frequent.
 */
#pragma once
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct gather {
    pthread_mutex_t lock;
    int64_t apart_ns, paid_ns; /* every answer costs apart_ns; paid up to then */
};
int64_t gather_wait_ns(struct gather *gather, int64_t now_ns, size_t bytes);
