/* escape: layers=view */
int main(void)
{
    puts(text_of(host("@DIR@/secret")));
    return 1;
}
