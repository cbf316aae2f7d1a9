/* escape: layers=rlimits */
int main(void)
{
    struct rlimit most;
    int status = 0;
    struct stat st;
    getrlimit(RLIMIT_CORE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_CORE, &most);
    pid_t pid = fork();
    if (pid == 0)
        abort();
    waitpid(pid, &status, 0);
    /* By a file, or by a helper of the host's that took it. */
    if (WCOREDUMP(status) || stat("/tmp/core", &st) == 0)
        escaped();
    return 1;
}
