/* escape: layers=rlimits */
int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_MSGQUEUE, &limit);
    if (limit.rlim_max > 0)
        escaped();
    return 1;
}
