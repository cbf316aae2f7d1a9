/* escape: layers=nnp,view,seccomp,caps */
/* A copy of id(1) that belongs to root and is setuid. */
int main(void)
{
    int ends[2];
    char text[16] = "";
    if (pipe(ends) == 0 && fork() == 0) {
        dup2(ends[1], 1);
        execl(host("@DIR@/setuid"), "id", "-u", NULL);
        _exit(1);
    }
    close(ends[1]);
    if (read(ends[0], text, sizeof text - 1) > 0 && strcmp(text, "0\n") == 0)
        escaped();
    return 1;
}
