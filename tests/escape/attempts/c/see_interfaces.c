/* escape: layers=network */
int main(void)
{
    const char *text = text_of("/proc/self/net/dev");
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    if (lines > 3)
        escaped();
    return 1;
}
