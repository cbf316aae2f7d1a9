/* escape: layers=memory verdict=MLE cause=mle_kernel_oom */
int main(void)
{
    int p = fork();
    if (p == 0) {
        volatile char *m = (volatile char *)malloc(400 << 20);
        for (long i = 0; m && i < 400L << 20; i += 4096)
            m[i] = 1;
        escaped();
    }
    waitpid(p, 0, 0);
    return 0;
}
