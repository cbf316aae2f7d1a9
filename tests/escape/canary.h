/* What an attempt must not reach: files, a process, listeners and IPC objects of the host, made for
 * this test alone, and the signs that one of them was touched. Everything is removed at the end. */
#pragma once
#include "lib/base/err.h"
#include <sys/stat.h>
#include <sys/types.h>

#define CANARY_SHM_TEXT "canary segment"

struct canary {
    char dir[64];    /* of the host, world-readable, with the files `secret` and `target`, and
                        `setuid`, a program of root's that tells its user */
    char secret[64]; /* what `secret` holds; must never be in any output */
    char shared[64]; /* a file in the host's /dev/shm */
    char name[32];   /* of the abstract sockets and the message queue */
    pid_t process;   /* waits; must stay alive */
    int tcp, udp, stream, datagram, path_socket;
    unsigned port;
    int key, segment, queue, semaphore; /* the key after it is for what a job leaves behind */
    struct stat target, secret_stat;
    char host_name[65];
};

void canary_make(struct canary *canary); /* fails the test on an error */
/* Makes good what an attempt with a layer off has done. */
void canary_restore(struct canary *canary);
/* What was touched since the last look, or NULL. */
const char *canary_touched(struct canary *canary);
void canary_remove(struct canary *canary);
