/* escape: layers=pid proof=verdict */
int main(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0)
            sleep(4);
        _exit(0);
    }
    return 1;
}
