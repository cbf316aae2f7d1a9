/* See stay.h. All processes of the run before are dead and reaped. What it could change of its
 * sandbox is: files in /tmp and /dev/shm, the objects of the IPC namespace, and which numbers the
 * kernel gives to processes next. The rest is made anew for each run by the launcher (control
 * groups, user id, descriptors), ends with the processes (sockets, keyrings of processes, timers,
 * locks) or cannot be changed by a program (root, names, network, /proc). */
#include "sandbox/stay.h"
#include "lib/base/cleanup.h"
#include "sandbox/child_payload.h"
#include "sandbox/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FLIGHT_TRIES 100
#define FLIGHT_NS 2000000

int stay_capabilities(uint64_t effective, uint64_t permitted)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    for (int i = 0; i < 2; i++)
        caps[i] = (struct __user_cap_data_struct){.effective = (uint32_t)(effective >> (32 * i)),
                                                  .permitted = (uint32_t)(permitted >> (32 * i))};
    return (int)syscall(SYS_capset, &head, caps);
}

/* Whether the table of sockets of this network namespace has none, under its title. */
static bool no_sockets(void)
{
    char text[512];
    AUTO_FD int table = open("/proc/self/net/unix", O_RDONLY | O_CLOEXEC);
    ssize_t got = table < 0 ? -1 : read(table, text, sizeof text);
    return got > 0 && memchr(text, '\n', (size_t)got) == text + got - 1;
}

bool stay_nothing_in_flight(void)
{
    int pair[2];
    for (int i = 0; i < FLIGHT_TRIES; i++) {
        if (no_sockets())
            return true;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
            close(pair[0]);
            close(pair[1]);
        }
        nanosleep(&(struct timespec){.tv_nsec = FLIGHT_NS}, NULL);
    }
    return false;
}

static void renew(const struct child_spec *spec)
{
    if (spec->layers & LAYER_RENEW)
        return;
    if (!(spec->layers & LAYER_FRESH)) {
        if (umount2("tmp", MNT_DETACH) != 0 || umount2("dev/shm", MNT_DETACH) != 0)
            child_fail(STAY_SYNC, "take the files of a run away");
        child_mount_fresh(spec);
    }
    if (!(spec->layers & LAYER_IPC) && unshare(CLONE_NEWIPC) != 0)
        child_fail(STAY_SYNC, "make a fresh IPC namespace");
    /* The next process is number 2 again. */
    if (pwrite(STAY_LAST_PID, "1", 1, 0) != 1)
        child_fail(STAY_SYNC, "begin with the first number");
}

void stay_for_next(struct child_spec *spec)
{
    struct stay_order order;
    struct iovec part = {&order, sizeof order};
    size_t count = 1;
    if (stay_capabilities(CAPS_STAY, CAPS_STAY) != 0)
        child_fail(STAY_SYNC, "take up the capabilities again");
    spec->tmp_mount = spec->shm_mount = -1;
    spec->last_pid = STAY_LAST_PID;
    renew(spec);
    if (pass_receive(STAY_SYNC, &part, 1, &spec->sync_fd, &count) != (ssize_t)sizeof order)
        _exit(0); /* nobody wants it any more */
    spec->at[STEP_init] = spec->at[STEP_root] = child_now_ns();
    spec->limits = order.limits;
    spec->uid = order.uid;
    spec->template = order.template;
}
