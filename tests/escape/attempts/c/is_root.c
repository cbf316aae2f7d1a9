/* escape: layers=uid */
int main(void)
{
    if (getuid() == 0 || getgid() == 0)
        escaped();
    return 1;
}
