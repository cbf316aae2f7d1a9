/* See input.h. */
#include "sandbox/input.h"
#include "lib/base/cleanup.h"
#include "sandbox/mounts.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NOEXEC_SEAL 8u /* MFD_NOEXEC_SEAL, Linux 6.3; Debian 12's header has no name for it */

int input_new(struct err *err)
{
    AUTO_FD int fd = memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    /* Root's, and without a right to execute that its job could not have. */
    if (fd < 0 || fchmod(fd, 0444) != 0)
        return err_sys(err, ERR_SYSTEM, "make a job's stdin");
    return take_fd(&fd);
}

int input_fill(int input, int from, uint64_t max_bytes, struct err *err)
{
    return mounts_copy_all(input, from, max_bytes, err);
}

int input_seal(int input, struct err *err)
{
    const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    return fcntl(input, F_ADD_SEALS, seals) == 0 ? 0
                                                 : err_sys(err, ERR_SYSTEM, "seal a job's stdin");
}

int input_open(int input, struct err *err)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", input);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : err_sys(err, ERR_SYSTEM, "open a job's stdin");
}
