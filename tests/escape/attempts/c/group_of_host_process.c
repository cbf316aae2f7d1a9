/* escape: layers=pid,uid,caps */
int main(void)
{
    if (getpgid(@PID@) > 0)
        escaped();
    return 1;
}
