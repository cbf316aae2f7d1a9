/* escape: layers=fds,rlimits verdict=RE cause=re_nonzero_exit proof=verdict */
int main(void)
{
    write(3, "torn", 4);
    usleep(200000);
    return 1;
}
