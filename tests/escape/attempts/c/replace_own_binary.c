/* escape: layers=readonly,uid */
int main(void)
{
    if (rename("/box/main", "/box/other") == 0)
        escaped();
    return 1;
}
