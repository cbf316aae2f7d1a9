/* escape: layers=caps */
int main(void)
{
    if (setpriority(PRIO_PROCESS, 0, -5) == 0)
        escaped();
    return 1;
}
