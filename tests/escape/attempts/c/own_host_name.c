/* escape: layers=seccomp,caps */
int main(void)
{
    if (sethostname("x", 1) == 0)
        escaped();
    return 1;
}
