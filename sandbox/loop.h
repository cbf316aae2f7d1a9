/* The launcher's event loop: epoll, one event at a time, no threads.
 *
 * A watch is embedded in what it belongs to. One event is taken per wait, so a handler may free
 * or reuse any watch: no other event of a batch can still point at it. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watch {
    int fd; /* -1 = not watched; not owned */
    void (*ready)(struct watch *watch, uint32_t events);
    void *owner;
};

struct loop {
    int epoll_fd;
    bool stop;
    bool (*idle)(void *context); /* when no event waits; false = not again until it is set again */
    void *idle_context;
};

int loop_open(struct loop *loop, struct err *err) MUST_CHECK;
void loop_close(struct loop *loop);
int loop_add(struct loop *loop, struct watch *watch, int fd, uint32_t events,
             struct err *err) MUST_CHECK;
int loop_change(struct loop *loop, struct watch *watch, uint32_t events,
                struct err *err) MUST_CHECK;
void loop_remove(struct loop *loop, struct watch *watch);    /* before its descriptor is closed */
int loop_run(struct loop *loop, struct err *err) MUST_CHECK; /* until stop */

int64_t loop_now_ns(void); /* CLOCK_MONOTONIC */
/* Arms a timerfd at an absolute CLOCK_MONOTONIC time; 0 disarms. */
int loop_timer(int timer_fd, int64_t at_ns, struct err *err) MUST_CHECK;
