/* escape: layers=seccomp */
int main(void)
{
    int from = open("/proc/self/exe", O_RDONLY);
    static char b[1 << 20];
    if (getenv("AGAIN"))
        escaped();
    int to = (int)syscall(SYS_memfd_create, "x", 0);
    write(to, b, read(from, b, sizeof b));
    char again[] = "AGAIN=1", name[] = "x", *argv[] = {name, 0}, *envp[] = {again, 0};
    syscall(SYS_execveat, to, "", argv, envp, AT_EMPTY_PATH);
    return 1;
}
