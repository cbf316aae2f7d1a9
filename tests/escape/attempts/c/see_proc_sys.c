/* escape: layers=hidepid */
int main(void)
{
    if (access("/proc/sys", F_OK) == 0)
        escaped();
    return 1;
}
