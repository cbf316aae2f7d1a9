/* One message with descriptors over a SOCK_SEQPACKET pair, between the launcher and its own
 * processes. Async-signal-safe. */
#pragma once
#include "lib/base/err.h"
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PASS_FDS 16

/* Sends copies; at least one descriptor, at most PASS_FDS. false with errno. */
bool pass_send(int socket, struct iovec *parts, size_t part_count, const int *fds,
               size_t fd_count) MUST_CHECK;
/* Waits for one; its descriptors are close-on-exec. The bytes, *fd_count being the room for
 * descriptors before; -1: the other side is gone, or the message is none of these. */
ssize_t pass_receive(int socket, struct iovec *parts, size_t part_count, int *fds,
                     size_t *fd_count) MUST_CHECK;
/* A pair; what comes to *near says who sent it. Both are the caller's, close-on-exec. */
int pass_pair(int *near, int *far, struct err *err) MUST_CHECK;
/* As recv, with who sent it (SO_PASSCRED; pid 0: the kernel did not say). */
ssize_t pass_credentials(int socket, void *bytes, size_t size, int flags,
                         struct ucred *from) MUST_CHECK;
