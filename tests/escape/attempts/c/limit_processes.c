/* escape: layers=rlimits */
int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NPROC, &limit);
    if (limit.rlim_max > 16) /* twice what the group allows */
        escaped();
    return 1;
}
