/* Ends the process when its loop has not turned for WATCHDOG_S: a restart mends more than waiting.
 *
 * SIGALRM alone; the handler writes one line and aborts. The client libraries' waits are bounded
 * well below. */
#include "consumers/runtime/internal.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char line[160];

static void bark(int number)
{
    (void)number;
    (void)!write(2, line, strlen(line));
    abort();
}

void watchdog_start(const char *stage)
{
    struct sigaction action = {.sa_handler = bark};

    snprintf(line, sizeof line,
             "level=fatal prog=%s event=watchdog message=\"the loop did not turn for %d s; the "
             "supervisor starts this process anew\"\n",
             stage, WATCHDOG_S);
    sigaction(SIGALRM, &action, NULL);
    watchdog_feed();
}

void watchdog_feed(void)
{
    static time_t fed_s;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec == fed_s)
        return;
    fed_s = now.tv_sec;
    alarm(WATCHDOG_S);
}
