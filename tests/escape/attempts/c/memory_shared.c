/* escape: layers=memory verdict=MLE cause=mle_kernel_oom */
int main(void)
{
    volatile char *p = (volatile char *)mmap(0, 400 << 20, PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < 400L << 20; i += 4096)
        p[i] = 1;
    escaped();
}
