/* escape: layers=view */
int main(void)
{
    symlink("/..@DIR@/secret", "/tmp/link");
    puts(text_of("/tmp/link"));
    return 1;
}
