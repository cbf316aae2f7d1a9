/* escape: layers=seccomp,caps */
int main(void)
{
    if (mount("x", "/tmp", "tmpfs", 0, "") == 0)
        escaped();
    return 1;
}
