/* escape: layers=caps */
int main(void)
{
    if (!strstr(text_of("/proc/self/status"), "CapBnd:\t0000000000000000"))
        escaped();
    return 1;
}
