/* escape: layers=hidepid,uid,caps */
/* There is nothing in it; to reach it is the escape. */
int main(void)
{
    if (open("/proc/1/environ", O_RDONLY) < 0)
        return 1;
    escaped();
}
