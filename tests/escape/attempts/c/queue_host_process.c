/* escape: layers=pid,uid,caps */
int main(void)
{
    siginfo_t info = {0};
    info.si_code = SI_QUEUE;
    syscall(SYS_rt_sigqueueinfo, @PID@, SIGTERM, &info);
    usleep(100000);
    return 1;
}
