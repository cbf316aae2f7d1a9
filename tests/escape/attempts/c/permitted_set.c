/* escape: layers=caps */
int main(void)
{
    if (!strstr(text_of("/proc/self/status"), "CapPrm:\t0000000000000000"))
        escaped();
    return 1;
}
