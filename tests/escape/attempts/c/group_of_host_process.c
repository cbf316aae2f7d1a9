/* escape: layers=pid,uid,caps */
int main(void)
{
    if (getpgid(@PID@) >= 0) /* 0: its group is outside of the tests' own pid namespace */
        escaped();
    return 1;
}
