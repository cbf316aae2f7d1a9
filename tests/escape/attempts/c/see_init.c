/* escape: layers=hidepid */
int main(void)
{
    if (access("/proc/1/status", F_OK) == 0)
        escaped();
    return 1;
}
