/* escape: layers=seccomp */
int main(void)
{
    int pair[2];
    pipe(pair);
    int p = fork();
    if (!p)
        pause();
    int fd = (int)syscall(SYS_pidfd_open, p, 0);
    long r = syscall(SYS_pidfd_getfd, fd, pair[0], 0);
    kill(p, 9);
    if (r >= 0)
        escaped();
    return 1;
}
