/* escape: layers=readonly,uid */
int main(void)
{
    if (chmod("/box/main", 04755) == 0)
        escaped();
    return 1;
}
