/* See nets.h. */
#include "sandbox/nets.h"
#include "lib/base/cleanup.h"
#include <stdlib.h>
#include <unistd.h>

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
