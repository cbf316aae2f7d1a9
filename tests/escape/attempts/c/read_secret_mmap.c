/* escape: layers=view */
int main(void)
{
    int file = open(host("@DIR@/secret"), O_RDONLY);
    char *text = (char *)mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    if (text != MAP_FAILED)
        puts(text);
    return 1;
}
