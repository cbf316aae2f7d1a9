/* escape: layers=seccomp cause=seccomp_violation */
int main(void)
{
    long r = -1; /* execve by its i386 number, with pointers that lead nowhere */
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(11), "b"(1), "c"(0), "d"(0) : "memory");
    if (r < 0)
        escaped();
    return 1;
}
