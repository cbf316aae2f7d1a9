/* escape: layers=seccomp */
int main(void)
{
    static char from[8] = "x", to[8];
    int p = fork();
    if (!p)
        pause();
    struct iovec a = {to, 8}, b = {from, 8};
    long r = process_vm_readv(p, &a, 1, &b, 1, 0);
    kill(p, 9);
    if (r == 8)
        escaped();
    return 1;
}
