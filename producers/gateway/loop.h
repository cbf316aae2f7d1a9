/* The one event loop of the gateway: descriptors and deadlines, no threads.
 *
 * A watch belongs to its owner; the loop only keeps the pointer while it is added. Deadlines of one
 * kind share a due_queue (same delay for all), so that adding and removing is O(1) and nothing is
 * ever scanned: 10,000 parked requests cost two pointers each. */
#pragma once
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include <stdbool.h>

struct watch {
    void (*ready)(struct watch *watch, unsigned events); /* EPOLL* bits */
    int fd;                                              /* -1 = not added */
};

struct due {
    struct due *prev, *next; /* NULL = not armed */
    int64_t at_ms;
};

struct due_queue {
    struct due head;
    int64_t after_ms;
    void (*fire)(struct due *due); /* already disarmed */
};

struct loop;
int loop_new(const struct clock *clock, struct loop **out, struct err *err) MUST_CHECK;
void loop_free(struct loop *loop);
int loop_add(struct loop *loop, struct watch *watch, int fd, unsigned events,
             struct err *err) MUST_CHECK;
void loop_change(struct loop *loop, struct watch *watch, unsigned events);
void loop_remove(struct loop *loop, struct watch *watch); /* harmless when not added */

/* Queues live as long as the loop. */
void loop_queue(struct loop *loop, struct due_queue *queue, int64_t after_ms,
                void (*fire)(struct due *));
void due_arm(struct loop *loop, struct due_queue *queue, struct due *due); /* anew when armed */
void due_disarm(struct due *due);

int64_t loop_now_ms(const struct loop *loop); /* monotonic; read once per turn */
/* Called at the end of every turn; returns the milliseconds until it wants the next one, -1 = only
 * when something happens. */
typedef int64_t loop_turn_fn(void *owner);
void loop_each_turn(struct loop *loop, loop_turn_fn *turn, void *owner);
/* The next turn shall not wait: something became due outside of the caller's own turn function. */
void loop_wake(struct loop *loop);
/* One turn: waits at most max_wait_ms. */
int loop_turn(struct loop *loop, int64_t max_wait_ms, struct err *err) MUST_CHECK;
