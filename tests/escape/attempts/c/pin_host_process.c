/* escape: layers=pid,uid,caps */
int main(void)
{
    cpu_set_t set;
    if (sched_getaffinity(@PID@, sizeof set, &set) == 0)
        escaped();
    return 1;
}
