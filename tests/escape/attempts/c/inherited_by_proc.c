/* escape: layers=fds,rlimits */
int main(void)
{
    int count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (list && readdir(list))
        count++;
    if (count > 2 + 3 + 1)
        escaped();
    return 1;
}
