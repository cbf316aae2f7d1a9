/* The process that clones the inits. A copy of the launcher would copy and later take apart the
 * page tables of all its libraries, and close some hundred descriptors; a copy of a small static
 * program that holds none does not, and a sandbox that waits keeps less memory. Started with the
 * launcher, again when it died; it dies with the launcher. */
#pragma once
#include "sandbox/child.h"
#include <sys/types.h>

struct maker {
    pid_t pid;   /* 0 = none */
    int fd;      /* its pair */
    int program; /* the file that it executes */
    uint32_t layers_off;
};

int maker_open(struct maker *maker, uint32_t layers_off, struct err *err) MUST_CHECK;
void maker_close(struct maker *maker);
/* Has the init of a sandbox cloned, the launcher's child; waits for that. None of the descriptors
 * is taken. *pid and *pidfd are the caller's. */
int maker_clone(struct maker *maker, const struct child_spec *spec, pid_t *pid, int *pidfd,
                struct err *err) MUST_CHECK;
