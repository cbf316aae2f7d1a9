/* escape: layers=seccomp */
#include <sys/inotify.h>
/* The files of the root are the host's: what every other job and the host open there. */
int main(void)
{
    int dir = open("/usr", O_RDONLY | O_DIRECTORY), fd = inotify_init1(IN_NONBLOCK);
    if (fcntl(dir, F_NOTIFY, DN_ACCESS | DN_MULTISHOT) == 0 ||
        inotify_add_watch(fd, "/usr", IN_OPEN) >= 0)
        escaped();
    return 1;
}
