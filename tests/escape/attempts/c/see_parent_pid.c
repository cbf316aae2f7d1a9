/* escape: layers=pid */
int main(void)
{
    if (getpid() > 100)
        escaped();
    return 1;
}
