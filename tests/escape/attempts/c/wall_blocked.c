/* escape: layers=wall verdict=TLE cause=tle_wall_judge wall_ms=300 */
/* All signals that can be blocked are, and the time passes in a child's wait. */
int main(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    if (fork() == 0) {
        sleep(1);
        _exit(0);
    }
    wait(NULL);
    escaped();
}
