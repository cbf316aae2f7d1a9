/* escape: layers=network */
int main(void)
{
    if (strstr(text_of("/proc/self/net/tcp"), "0100007F:"))
        escaped();
    return 1;
}
