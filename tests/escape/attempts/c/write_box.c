/* escape: layers=readonly,uid */
int main(void)
{
    if (open("/box/new", O_CREAT | O_WRONLY, 0600) >= 0)
        escaped();
    return 1;
}
