/* epoll, timerfd and the monotonic clock of the launcher. */
#include "sandbox/loop.h"
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int loop_open(struct loop *loop, struct err *err)
{
    *loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    return loop->epoll_fd >= 0 ? 0 : err_sys(err, ERR_SYSTEM, "epoll_create1");
}

void loop_close(struct loop *loop)
{
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    loop->epoll_fd = -1;
}

int loop_add(struct loop *loop, struct watch *watch, int fd, uint32_t events, struct err *err)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    watch->fd = -1;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return err_sys(err, ERR_SYSTEM, "watch a descriptor");
    watch->fd = fd;
    return 0;
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events, struct err *err)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) != 0)
        return err_sys(err, ERR_SYSTEM, "change a watch");
    return 0;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    if (watch->fd >= 0)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
}

int loop_run(struct loop *loop, struct err *err)
{
    while (!loop->stop) {
        struct epoll_event event;
        int count = epoll_wait(loop->epoll_fd, &event, 1, loop->idle ? 0 : -1);
        if (count < 0 && errno != EINTR)
            return err_sys(err, ERR_SYSTEM, "epoll_wait");
        if (count == 1) {
            struct watch *watch = event.data.ptr;
            watch->ready(watch, event.events);
        } else if (count == 0 && loop->idle && !loop->idle(loop->idle_context)) {
            loop->idle = NULL;
        }
    }
    return 0;
}

int64_t loop_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int loop_timer(int timer_fd, int64_t at_ns, struct err *err)
{
    struct itimerspec spec = {
        .it_value = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000}};
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) != 0)
        return err_sys(err, ERR_SYSTEM, "timerfd_settime");
    return 0;
}
