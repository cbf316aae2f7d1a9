/* escape: layers=view,uid,caps */
int main(void)
{
    truncate(host("@DIR@/target"), 0);
    return 1;
}
