/* escape: layers=seccomp cause=seccomp_violation */
int main(void)
{
    errno = 0; /* without the filter the kernel answers, if only ENOSYS */
    long r = syscall(0x40000000 + SYS_getpid);
    if (r > 0 || errno)
        escaped();
    return 1;
}
