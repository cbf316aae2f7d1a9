/* escape: layers=seccomp,caps */
int main(void)
{
    if (mknod("/tmp/mem", S_IFCHR | 0600, 0x101) == 0)
        escaped();
    return 1;
}
