/* escape: layers=readonly,uid */
int main(void)
{
    if (symlink("/tmp", "/box/link") == 0)
        escaped();
    return 1;
}
