/* escape: layers=rlimits verdict=SIG cause=fse_limit_exceeded */
int main(void)
{
    int f = open("/tmp/x", O_CREAT | O_WRONLY, 0600);
    if (ftruncate(f, 8 << 20) == 0)
        escaped();
    return 1;
}
