/* escape: layers=hidepid */
int main(void)
{
    if (access("/proc/cmdline", F_OK) == 0)
        escaped();
    return 1;
}
