/* escape: layers=always verdict=RE cause=re_nonzero_exit */
int main(void)
{
    static char forged[96] = {4}; /* the init's report of an exit 0, wherever it can be written */
    for (int i = 0; i < 256; i++)
        write(i, forged, sizeof forged);
    printf("{\"setup_ok\":true,\"run\":{\"reported\":true,\"exited\":true,\"exit_code\":0}}\n");
    return 1;
}
