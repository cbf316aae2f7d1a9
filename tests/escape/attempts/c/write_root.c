/* escape: layers=readonly,uid */
int main(void)
{
    if (mkdir("/escape", 0700) == 0) {
        rmdir("/escape");
        escaped();
    }
    return 1;
}
