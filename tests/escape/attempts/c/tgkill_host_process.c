/* escape: layers=pid,uid,caps */
int main(void)
{
    syscall(SYS_tgkill, @PID@, @PID@, SIGTERM);
    usleep(100000);
    return 1;
}
