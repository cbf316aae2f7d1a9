/* escape: layers=fds,rlimits */
int main(void)
{
    for (int i = 3; i < 256; i++)
        if (fcntl(i, F_GETFD) >= 0)
            escaped();
    return 1;
}
