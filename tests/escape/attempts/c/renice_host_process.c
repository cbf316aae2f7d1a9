/* escape: layers=pid,uid,caps */
int main(void)
{
    if (setpriority(PRIO_PROCESS, @PID@, 5) == 0)
        escaped();
    return 1;
}
