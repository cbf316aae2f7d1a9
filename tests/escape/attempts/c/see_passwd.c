/* escape: layers=view */
int main(void)
{
    const char *path = host("/etc/passwd");
    if (access(path, F_OK) == 0)
        escaped();
    return 1;
}
