/* escape: layers=seccomp cause=seccomp_violation */
int main(void)
{
    errno = 0;
    long r = syscall(0x40000000 + 521, -1, -1, 0, 0);
    if (r >= 0 || errno)
        escaped();
    return 1;
}
