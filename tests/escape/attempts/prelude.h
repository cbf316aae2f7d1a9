/* Put before every attempt in C and C++: what they share. ESCAPED on stdout is an attempt's own
 * claim that it got out; the test looks at the canaries besides. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-result"

static void escaped(void)
{
    if (write(1, "ESCAPED\n", 8) == 8)
        _exit(0);
    _exit(2);
}

/* The file's text, "" when it cannot be read. */
static const char *text_of(const char *path)
{
    static char text[65536];
    int file = open(path, O_RDONLY | O_NONBLOCK);
    size_t len = 0;
    /* The kernel gives a long table in parts. */
    for (ssize_t got; file >= 0 && (got = read(file, text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)got;
    if (file >= 0)
        close(file);
    text[len] = 0;
    return text;
}

/* A path of the host, as it would be reached by its name and through a root that was left behind.
 */
static const char *host(const char *path)
{
    static char away[4096];
    if (access(path, F_OK) == 0)
        return path;
    snprintf(away, sizeof away, "/..%s", path);
    return away;
}
