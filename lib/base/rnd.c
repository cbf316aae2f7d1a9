/* The randomness port. A process without kernel randomness must not go on: it would hand out
 * repeated ids and nonces. */
#include "lib/base/rnd.h"
#include "lib/base/strict.h"
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

static void system_fill(struct rnd *rnd, void *out, size_t len)
{
    (void)rnd;
    unsigned char *bytes = out;
    while (len > 0) {
        ssize_t got = getrandom(bytes, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0);
        bytes += got;
        len -= (size_t)got;
    }
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void seeded_fill(struct rnd *rnd, void *out, size_t len)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = splitmix(&rnd->state);
        for (size_t j = i; j < len && j < i + 8; j++) {
            bytes[j] = (unsigned char)word;
            word >>= 8;
        }
    }
}

struct rnd rnd_system(void)
{
    return (struct rnd){.fill = system_fill};
}

struct rnd rnd_seeded(uint64_t seed)
{
    return (struct rnd){.fill = seeded_fill, .state = seed};
}
