/* escape: layers=fds,rlimits verdict=TLE cause=tle_wall_judge proof=verdict wall_ms=700 */
struct report { /* what the init sends at the end: exit 0 */
    uint32_t kind;
    int32_t error;
    char where[48];
    int32_t listener, status;
    uint64_t rss, zombies;
    int64_t ended_ns;
};
#include <time.h>
int main(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct report forged = {.kind = 4, .ended_ns = now.tv_sec * 1000000000L + now.tv_nsec};
    write(3, &forged, sizeof forged);
    for (;;)
        pause();
}
