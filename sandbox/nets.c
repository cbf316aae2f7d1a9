/* The launcher enters a fresh namespace, keeps its descriptor and comes back. */
#include "sandbox/nets.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

static const char own[] = "/proc/self/ns/net";

int nets_open(struct nets *nets, size_t wanted, struct err *err)
{
    nets->home = open(own, O_RDONLY | O_CLOEXEC);
    if (nets->home < 0)
        return err_sys(err, ERR_CONFIG, "open %s", own);
    nets->wanted = wanted < NETS_MAX ? wanted : NETS_MAX;
    return 0;
}

void nets_close(struct nets *nets)
{
    while (nets->count > 0)
        close(nets->kept[--nets->count]);
    cleanup_fd(&nets->home);
    *nets = (struct nets){.home = -1};
}

int nets_take(struct nets *nets)
{
    return nets->count > 0 ? nets->kept[--nets->count] : -1;
}

bool nets_fill(struct nets *nets)
{
    struct err err;
    if (nets->count >= nets->wanted)
        return false;
    int made = unshare(CLONE_NEWNET) == 0 ? open(own, O_RDONLY | O_CLOEXEC) : -1;
    if (made < 0) {
        err_sys(&err, ERR_SYSTEM, "make a network namespace ahead");
        log_event(LOG_WARN, "no_network_pool", kv_err(&err));
        nets->wanted = 0;
    }
    /* A launcher that cannot come back must not go on: a sandbox would be made from a sandbox. */
    CHECK(setns(nets->home, CLONE_NEWNET) == 0);
    if (made >= 0)
        nets->kept[nets->count++] = made;
    return made >= 0;
}

struct nets_shelf {
    unsigned holders;
    int fds[NETS_MAX];
    size_t count;
};

struct nets_shelf *nets_shelf_new(void)
{
    struct nets_shelf *shelf = calloc(1, sizeof *shelf);
    return shelf ? nets_shelf_hold(shelf) : NULL;
}

struct nets_shelf *nets_shelf_hold(struct nets_shelf *shelf)
{
    shelf->holders++;
    return shelf;
}

void nets_shelf_drop(struct nets_shelf *shelf)
{
    if (!shelf || --shelf->holders > 0)
        return;
    while (shelf->count > 0)
        close(shelf->fds[--shelf->count]);
    free(shelf);
}

int nets_shelf_take(struct nets_shelf *shelf)
{
    return shelf->count > 0 ? shelf->fds[--shelf->count] : -1;
}

void nets_shelf_put(struct nets_shelf *shelf, int *fd)
{
    if (*fd >= 0 && shelf->count < NETS_MAX)
        shelf->fds[shelf->count++] = take_fd(fd);
}
