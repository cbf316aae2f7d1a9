/* escape: layers=output cause=output_limit_exceeded */
int main(void)
{
    static char bytes[1 << 19];
    for (int i = 0; i < 6; i++) {
        if (fork() == 0)
            _exit(write(1, bytes, sizeof bytes) < 0);
        wait(NULL);
    }
    escaped();
}
