/* escape: layers=hidepid */
int main(void)
{
    if (access("/proc/sysvipc", F_OK) == 0)
        escaped();
    return 1;
}
