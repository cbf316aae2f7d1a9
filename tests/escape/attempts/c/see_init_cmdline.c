/* escape: layers=hidepid */
int main(void)
{
    if (strstr(text_of("/proc/1/cmdline"), "rustbox"))
        escaped();
    return 1;
}
