/* escape: layers=view,uid,caps */
int main(void)
{
    chown(host("@DIR@/target"), 1234, 1234);
    return 1;
}
