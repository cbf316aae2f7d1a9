/* escape: layers=env */
int main(void)
{
    for (char **at = environ; *at; at++) {
        puts(*at);
        if (strncmp(*at, "PATH=", 5) && strncmp(*at, "HOME=", 5) && strncmp(*at, "LANG=", 5)) {
            puts("ESCAPED");
            return 0;
        }
    }
    return 1;
}
