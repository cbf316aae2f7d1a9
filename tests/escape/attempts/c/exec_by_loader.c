/* escape: layers=noexec */
int main(void)
{
    static char b[1 << 20];
    if (getenv("AGAIN"))
        escaped();
    int from = open("/proc/self/exe", O_RDONLY), to = open("/tmp/x", O_CREAT | O_WRONLY, 0700);
    write(to, b, read(from, b, sizeof b));
    close(to);
    char again[] = "AGAIN=1", name[] = "ld", file[] = "/tmp/x";
    char *argv[] = {name, file, 0}, *envp[] = {again, 0};
    execve("/lib64/ld-linux-x86-64.so.2", argv, envp);
    return 1;
}
