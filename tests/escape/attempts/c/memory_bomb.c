/* escape: layers=memory verdict=MLE cause=mle_kernel_oom */
int main(void)
{
    volatile char *p = (volatile char *)malloc(400 << 20);
    for (long i = 0; p && i < 400L << 20; i += 4096)
        p[i] = 1;
    escaped();
}
