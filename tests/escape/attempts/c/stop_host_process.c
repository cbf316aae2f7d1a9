/* escape: layers=pid,uid,caps */
int main(void)
{
    if (kill(@PID@, 0) == 0)
        escaped();
    return 1;
}
