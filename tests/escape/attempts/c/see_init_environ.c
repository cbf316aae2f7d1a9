/* escape: layers=hidepid,uid,caps */
int main(void)
{
    int file = open("/proc/1/environ", O_RDONLY);
    static char text[65536];
    if (file < 0 || read(file, text, sizeof text) <= 0)
        return 1;
    escaped();
}
