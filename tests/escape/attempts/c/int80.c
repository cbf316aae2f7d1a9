/* escape: layers=seccomp cause=seccomp_violation */
int main(void)
{
    long r = -1;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory");
    if (r > 0)
        escaped();
    return 1;
}
