/* escape: layers=view */
int main(void)
{
    chdir("/");
    for (int i = 0; i < 64; i++)
        chdir("..");
    puts(text_of(".@DIR@/secret"));
    return 1;
}
