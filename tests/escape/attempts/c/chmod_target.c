/* escape: layers=view,uid,caps */
int main(void)
{
    chmod(host("@DIR@/target"), 0777);
    return 1;
}
