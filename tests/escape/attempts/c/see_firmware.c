/* escape: layers=view */
int main(void)
{
    const char *path = host("/sys/firmware");
    if (access(path, F_OK) == 0)
        escaped();
    return 1;
}
