/* escape: layers=cgroup */
int main(void)
{
    if (strstr(text_of("/proc/self/cgroup"), "rustbox-"))
        escaped();
    return 1;
}
