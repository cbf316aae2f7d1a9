/* escape: layers=view */
int main(void)
{
    const char *path = host("/proc/sys/kernel/core_pattern");
    if (access(path, F_OK) == 0)
        escaped();
    return 1;
}
