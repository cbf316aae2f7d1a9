/* escape: layers=wall verdict=TLE cause=tle_wall_judge wall_ms=300 */
int main(void)
{
    sleep(1);
    escaped();
}
