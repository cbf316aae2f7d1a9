/* escape: layers=view */
int main(void)
{
    int file = open(host("@DIR@/secret"), O_RDONLY);
    splice(file, 0, 1, 0, 4096, 0);
    return 1;
}
