/* escape: layers=view,uid,caps */
int main(void)
{
    symlink("secret", "/..@DIR@/link");
    return 1;
}
