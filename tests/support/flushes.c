/* Preloaded into a program whose flushes a test wants to see: one line "call name size" for each
 * fsync, fdatasync and msync, into the file that $FLUSHES names. The calls are then made. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(const char *call, int fd)
{
    const char *path = getenv("FLUSHES");
    char link[64], name[512] = "?", line[640];
    struct stat st = {0};

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = fd < 0 ? -1 : readlink(link, name, sizeof name - 1);
    if (len >= 0)
        name[len] = '\0';
    if (fd >= 0)
        (void)fstat(fd, &st);
    int size = snprintf(line, sizeof line, "%s %s %lld\n", call, name, (long long)st.st_size);
    int out = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (out < 0 || write(out, line, (size_t)size) != size)
        abort(); /* a test that saw nothing must not pass */
    close(out);
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = next(fd);
    note("fsync", fd);
    return result;
}

int fdatasync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = next(fd);
    note("fdatasync", fd);
    return result;
}

int msync(void *address, size_t len, int flags)
{
    int (*next)(void *, size_t, int) = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
    int result = next(address, len, flags);
    note("msync", -1);
    return result;
}
