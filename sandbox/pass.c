/* See pass.h. */
#include "sandbox/pass.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union room {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * PASS_FDS)];
};

bool pass_send(int socket, struct iovec *parts, size_t part_count, const int *fds, size_t fd_count)
{
    union room control = {0};
    size_t bytes = 0;
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = part_count,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(fd_count * sizeof(int))};
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(&control.head), fds, fd_count * sizeof(int));
    for (size_t i = 0; i < part_count; i++)
        bytes += parts[i].iov_len;
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes;
}

ssize_t pass_receive(int socket, struct iovec *parts, size_t part_count, int *fds, size_t *fd_count)
{
    union room control;
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = part_count,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(*fd_count * sizeof(int))};
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *rights = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!rights || rights->cmsg_type != SCM_RIGHTS ||
        (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)))
        return -1;
    *fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(rights), *fd_count * sizeof(int));
    return got;
}

ssize_t pass_credentials(int socket, void *bytes, size_t size, int flags, struct ucred *from)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec part = {bytes, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    struct cmsghdr *sent = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *from = (struct ucred){0};
    if (sent && sent->cmsg_level == SOL_SOCKET && sent->cmsg_type == SCM_CREDENTIALS)
        memcpy(from, CMSG_DATA(sent), sizeof *from);
    return got;
}

int pass_pair(int *near, int *far, struct err *err)
{
    int pair[2], on = 1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, ERR_SYSTEM, "socketpair");
    if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0) {
        *near = pair[0];
        *far = pair[1];
        return 0;
    }
    (void)err_sys(err, ERR_SYSTEM, "ask for credentials");
    close(pair[0]);
    close(pair[1]);
    return -1;
}
