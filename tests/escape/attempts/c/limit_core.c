/* escape: layers=rlimits */
int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    if (limit.rlim_max > 1) /* 1: neither a file nor a helper of the host */
        escaped();
    return 1;
}
