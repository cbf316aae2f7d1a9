/* escape: layers=pid,uid,caps */
int main(void)
{
    struct rlimit limit;
    if (prlimit(@PID@, RLIMIT_NOFILE, 0, &limit) == 0)
        escaped();
    return 1;
}
