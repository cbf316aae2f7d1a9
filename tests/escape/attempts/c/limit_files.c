/* escape: layers=rlimits */
int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max > 32)
        escaped();
    return 1;
}
