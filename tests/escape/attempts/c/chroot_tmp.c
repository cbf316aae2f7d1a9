/* escape: layers=seccomp,caps */
int main(void)
{
    if (chroot("/tmp") == 0)
        escaped();
    return 1;
}
