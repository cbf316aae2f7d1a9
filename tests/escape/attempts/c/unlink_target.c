/* escape: layers=view,uid,caps */
int main(void)
{
    unlink(host("@DIR@/target"));
    return 1;
}
