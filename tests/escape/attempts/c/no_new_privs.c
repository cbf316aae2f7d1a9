/* escape: layers=nnp,seccomp,caps */
int main(void)
{
    if (!strstr(text_of("/proc/self/status"), "NoNewPrivs:\t1"))
        escaped();
    return 1;
}
