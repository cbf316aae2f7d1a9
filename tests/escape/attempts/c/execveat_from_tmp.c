/* escape: layers=noexec */
int main(void)
{
    static char b[1 << 20];
    if (getenv("AGAIN"))
        escaped();
    int from = open("/proc/self/exe", O_RDONLY), to = open("/tmp/x", O_CREAT | O_WRONLY, 0700);
    write(to, b, read(from, b, sizeof b));
    close(to);
    to = open("/tmp/x", O_PATH);
    char again[] = "AGAIN=1", name[] = "x", *argv[] = {name, 0}, *envp[] = {again, 0};
    syscall(SYS_execveat, to, "", argv, envp, AT_EMPTY_PATH);
    return 1;
}
