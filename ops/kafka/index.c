/* Loaded into the broker's Java machine by ops/kafka/run (LD_PRELOAD): what need not reach the disk
 * with every record.
 *
 * With flush.messages=1 the broker flushes three files for each batch: the log, its index of
 * offsets and its index of times. Each flush waits for the disk, also when nothing of the file
 * changed. What was acknowledged must survive a power cut, and it does by the log alone: after an
 * unclean stop the broker makes the indexes of the segment that it was writing anew, out of the
 * log. An index is written by mapping alone, so msync(2) does nothing here. It has to be on the
 * disk when nobody makes it anew: of a segment that is closed, and after a clean stop. Both times
 * the broker cuts the file to its size with ftruncate(2) after its last entry, so it is flushed
 * there. Flushes of the log (fsync, fdatasync) are left alone. Never loaded into Rustbox's own
 * programs. */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int msync(void *address, size_t len, int flags)
{
    (void)address, (void)len, (void)flags;
    return 0;
}

EXPORT int ftruncate64(int fd, off64_t len)
{
    static int (*next)(int, off64_t);
    struct stat before;

    if (!next) /* two threads find the same */
        next = (int (*)(int, off64_t))(uintptr_t)dlsym(RTLD_NEXT, "ftruncate64");
    if (!next) {
        errno = ENOSYS;
        return -1;
    }
    if (fstat(fd, &before) < 0 || next(fd, len) < 0)
        return -1;
    return before.st_size > len ? fdatasync(fd) : 0;
}
