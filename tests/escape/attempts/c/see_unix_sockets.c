/* escape: layers=network */
int main(void)
{
    if (strstr(text_of("/proc/self/net/unix"), "@NAME@"))
        escaped();
    return 1;
}
