/* escape: layers=hidepid */
int main(void)
{
    if (access("/proc/1/maps", F_OK) == 0)
        escaped();
    return 1;
}
