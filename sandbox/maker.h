/* The process that clones the inits. A copy of the launcher would copy and later take apart the
 * page tables of all its libraries, and close some hundred descriptors; a copy of a small static
 * program that holds none does not, and a sandbox that waits keeps less memory. Started with the
 * launcher, again when it died; it dies with the launcher.
 *
 * It clones ahead: a blank is process 1 of a fresh pid namespace, knows nothing and has nothing but
 * its pair, on which it says that it is there, and the namespaces that are made the same for every
 * sandbox. It waits for the one order of its life. So nobody waits for a clone or for a network
 * namespace, the largest single cost of a sandbox, and the next are made beside the job. */
#pragma once
#include "sandbox/child.h"
#include <sys/types.h>

#define MAKER_BLANKS 2

struct maker_blank {
    int near, far; /* its pair; a copy of the far end is the blank's */
};

struct maker {
    pid_t pid;   /* 0 = none */
    int fd;      /* its pair */
    int program; /* the file that it executes */
    uint32_t layers_off;
    struct maker_blank blanks[MAKER_BLANKS]; /* ordered, the oldest first */
    size_t blank_count;
};

struct maker_init {
    pid_t pid;
    int pidfd;
    int sync_fd, far_fd; /* the sandbox's pair; the init has the far end already */
};

int maker_open(struct maker *maker, uint32_t layers_off, struct err *err) MUST_CHECK;
void maker_close(struct maker *maker);
/* Gives a blank the order for a sandbox, which makes it its init, the launcher's child. None of the
 * order's descriptors is taken; all of *out is the caller's. */
int maker_clone(struct maker *maker, const struct child_spec *spec, struct maker_init *out,
                struct err *err) MUST_CHECK;
/* Orders as many blanks as lack, for later sandboxes, and waits for none: whether it did. */
bool maker_refill(struct maker *maker);
