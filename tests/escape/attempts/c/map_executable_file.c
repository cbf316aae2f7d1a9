/* escape: layers=noexec */
int main(void)
{
    int f = open("/tmp/x", O_CREAT | O_RDWR, 0700);
    ftruncate(f, 4096);
    if (mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, f, 0) != MAP_FAILED)
        escaped();
    return 1;
}
