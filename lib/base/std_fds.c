/* See std_fds.h. */
#include "lib/base/std_fds.h"
#include "lib/base/strict.h"
#include <fcntl.h>

bool std_fds_hold(void)
{
    static const int flags[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd < (int)COUNT_OF(flags); fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags[fd]) != fd)
            return false;
    return true;
}
