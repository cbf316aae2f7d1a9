/* escape: layers=view,uid,caps */
int main(void)
{
    int f = open(host("@DIR@/target"), O_RDWR);
    char *p = (char *)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    if (p != MAP_FAILED) {
        p[0] = 88;
        munmap(p, 4096);
    }
    return 1;
}
