/* escape: layers=memory,rlimits cause=ple_cgroup_pids */
int main(void)
{
    int made = 0;
    while (made < 40) {
        int p = fork();
        if (p == 0)
            pause();
        if (p < 0)
            break;
        made++;
    }
    if (made == 40)
        escaped();
    return 1;
}
