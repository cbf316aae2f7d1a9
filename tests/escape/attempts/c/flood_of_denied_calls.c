/* escape: layers=seccomp cause=seccomp_violation */
int main(void)
{
    for (int i = 0; i < 1000; i++)
        syscall(SYS_setns, -1, 0);
    escaped();
}
