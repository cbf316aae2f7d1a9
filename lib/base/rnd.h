/* The randomness port. rnd_system is getrandom(2); rnd_seeded is a reproducible stream for tests.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct rnd {
    void (*fill)(struct rnd *rnd, void *out,
                 size_t len); /* never fails: aborts if the kernel cannot */
    uint64_t state;
};

struct rnd rnd_system(void);
struct rnd rnd_seeded(uint64_t seed); /* splitmix64; never for keys in production */
static inline void rnd_fill(struct rnd *rnd, void *out, size_t len)
{
    rnd->fill(rnd, out, len);
}
