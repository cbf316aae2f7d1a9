/* escape: layers=readonly,uid */
int main(void)
{
    if (unlink("/box/main") == 0)
        escaped();
    return 1;
}
