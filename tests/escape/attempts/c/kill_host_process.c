/* escape: layers=pid,uid,caps */
int main(void)
{
    kill(@PID@, SIGKILL);
    usleep(100000);
    return 1;
}
