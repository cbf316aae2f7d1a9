/* tests/support/receiver.py as a child of a test program: certificates, ports, log in a directory
 * of its own under /tmp. It ends with the test program. */
#pragma once
#include <sys/types.h>

struct receiver {
    char dir[64], ca_file[96], log_file[96], dns[32]; /* dns: "127.0.0.1:port" */
    int http, https, expired, selfsigned, wronghost, mute;
    pid_t pid;
    int stdin_fd;
};

/* Ends the program with status 77 and the reason where it cannot run. */
void receiver_start_or_skip(struct receiver *receiver);
void receiver_stop(struct receiver *receiver); /* and removes the directory */
