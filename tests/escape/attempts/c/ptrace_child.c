/* escape: layers=seccomp */
int main(void)
{
    int p = fork();
    if (!p)
        pause();
    long r = syscall(SYS_ptrace, 16, p, 0, 0);
    kill(p, 9);
    if (r == 0)
        escaped();
    return 1;
}
