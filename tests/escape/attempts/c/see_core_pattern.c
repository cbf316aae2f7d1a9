/* escape: layers=hidepid */
int main(void)
{
    if (access("/proc/sys/kernel/core_pattern", F_OK) == 0)
        escaped();
    return 1;
}
