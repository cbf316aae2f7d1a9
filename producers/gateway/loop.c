/* epoll and deadline lists; see loop.h. Owns the epoll descriptor, never a watch. */
#include "producers/gateway/loop.h"
#include "lib/base/strict.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 128
#define QUEUES_MAX 16
#define TURNS_MAX 8

struct loop {
    const struct clock *clock;
    int fd;
    int64_t now_ms;
    struct due_queue *queues[QUEUES_MAX];
    size_t queue_count;
    struct {
        loop_turn_fn *turn;
        void *owner;
    } turns[TURNS_MAX];
    size_t turn_count;
    int64_t turn_wait_ms;
    bool woken;
    struct epoll_event events[EVENTS_MAX];
    int event_count;
};

int loop_new(const struct clock *clock, struct loop **out, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return err_set(err, ERR_NO_MEMORY, "event loop");
    loop->clock = clock;
    loop->now_ms = clock_mono_ms(clock);
    loop->turn_wait_ms = -1;
    loop->fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->fd < 0) {
        free(loop);
        return err_sys(err, ERR_SYSTEM, "epoll_create1");
    }
    *out = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    close(loop->fd);
    free(loop);
}

int loop_add(struct loop *loop, struct watch *watch, int fd, unsigned events, struct err *err)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return err_sys(err, ERR_SYSTEM, "epoll_ctl: add descriptor %d", fd);
    watch->fd = fd;
    return 0;
}

void loop_change(struct loop *loop, struct watch *watch, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    CHECK(epoll_ctl(loop->fd, EPOLL_CTL_MOD, watch->fd, &event) == 0);
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    /* The descriptor may be closed already: epoll forgot it by itself then. */
    (void)epoll_ctl(loop->fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    for (int i = 0; i < loop->event_count; i++) /* not to be called later in this turn */
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

void loop_queue(struct loop *loop, struct due_queue *queue, int64_t after_ms,
                void (*fire)(struct due *))
{
    CHECK(loop->queue_count < QUEUES_MAX);
    queue->head.prev = queue->head.next = &queue->head;
    queue->after_ms = after_ms;
    queue->fire = fire;
    loop->queues[loop->queue_count++] = queue;
}

void due_disarm(struct due *due)
{
    if (!due->next)
        return;
    due->prev->next = due->next;
    due->next->prev = due->prev;
    due->prev = due->next = NULL;
}

void due_arm(struct loop *loop, struct due_queue *queue, struct due *due)
{
    due_disarm(due);
    due->at_ms = loop->now_ms + queue->after_ms;
    due->prev = queue->head.prev;
    due->next = &queue->head;
    due->prev->next = due;
    queue->head.prev = due;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

void loop_each_turn(struct loop *loop, loop_turn_fn *turn, void *owner)
{
    CHECK(loop->turn_count < TURNS_MAX);
    loop->turns[loop->turn_count].turn = turn;
    loop->turns[loop->turn_count++].owner = owner;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static int64_t wait_ms(const struct loop *loop, int64_t max_wait_ms)
{
    int64_t wait = sooner(max_wait_ms, loop->turn_wait_ms);
    for (size_t i = 0; i < loop->queue_count; i++) {
        const struct due *first = loop->queues[i]->head.next;
        if (first == &loop->queues[i]->head)
            continue;
        int64_t left = first->at_ms - loop->now_ms;
        wait = sooner(wait, left > 0 ? left : 0);
    }
    return wait;
}

void loop_wake(struct loop *loop)
{
    loop->woken = true;
}

int loop_turn(struct loop *loop, int64_t max_wait_ms, struct err *err)
{
    loop->now_ms = clock_mono_ms(loop->clock);
    int64_t wait = wait_ms(loop, max_wait_ms);
    int count = epoll_wait(loop->fd, loop->events, EVENTS_MAX, wait > 60000 ? 60000 : (int)wait);
    if (count < 0 && errno != EINTR)
        return err_sys(err, ERR_SYSTEM, "epoll_wait");
    loop->now_ms = clock_mono_ms(loop->clock);
    loop->event_count = count > 0 ? count : 0;
    for (int i = 0; i < loop->event_count; i++) {
        struct watch *watch = loop->events[i].data.ptr;
        if (watch)
            watch->ready(watch, loop->events[i].events);
    }
    loop->event_count = 0;
    for (size_t i = 0; i < loop->queue_count; i++) {
        struct due_queue *queue = loop->queues[i];
        while (queue->head.next != &queue->head && queue->head.next->at_ms <= loop->now_ms) {
            struct due *due = queue->head.next;
            due_disarm(due);
            queue->fire(due);
        }
    }
    loop->turn_wait_ms = -1;
    for (size_t i = 0; i < loop->turn_count; i++)
        loop->turn_wait_ms = sooner(loop->turn_wait_ms, loop->turns[i].turn(loop->turns[i].owner));
    if (loop->woken) /* perhaps by a turn function that ran after the one it concerns */
        loop->turn_wait_ms = 0;
    loop->woken = false;
    return 0;
}
