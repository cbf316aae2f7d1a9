/* escape: layers=fds,rlimits verdict=RE cause=re_nonzero_exit proof=verdict */
int main(void)
{
    static char forged[88] = {1, 0, 0, 0, 1};
    write(3, forged, sizeof forged);
    usleep(200000);
    return 1;
}
