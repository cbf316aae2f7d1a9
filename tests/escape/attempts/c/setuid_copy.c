/* escape: layers=uid,caps */
int main(void)
{
    int f = open("/tmp/x", O_CREAT | O_WRONLY, 0600);
    struct stat st;
    if (fchmod(f, 04755) == 0 && fstat(f, &st) == 0 && st.st_uid == 0)
        escaped();
    return 1;
}
