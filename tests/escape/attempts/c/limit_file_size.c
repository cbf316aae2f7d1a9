/* escape: layers=rlimits */
int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    if (limit.rlim_max > (1 << 20))
        escaped();
    return 1;
}
