/* escape: layers=view */
int main(void)
{
    const char *path = host("/dev/tty");
    if (access(path, F_OK) == 0)
        escaped();
    return 1;
}
