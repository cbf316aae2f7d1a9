/* escape: layers=uts */
int main(void)
{
    struct utsname name;
    uname(&name);
    if (strcmp(name.nodename, "rustbox-sandbox") != 0)
        escaped();
    return 1;
}
