/* escape: layers=caps */
int main(void)
{
    int f = open("/tmp/x", O_CREAT | O_WRONLY, 0600);
    if (fchown(f, 0, 0) == 0)
        escaped();
    return 1;
}
