/* escape: layers=seccomp */
int main(void)
{
    if (!strstr(text_of("/proc/self/status"), "Seccomp:\t2"))
        escaped();
    return 1;
}
