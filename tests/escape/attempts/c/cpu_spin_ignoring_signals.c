/* escape: layers=cpu,rlimits verdict=TLE cause=tle_cpu_judge proof=verdict cpu_ms=300 wall_ms=4000 */
int main(void)
{
    for (int s = 1; s < 65; s++)
        signal(s, SIG_IGN);
    for (;;)
        ;
}
