/* escape: layers=view,uid,caps */
int main(void)
{
    int f = open(host("@DIR@/target"), O_WRONLY);
    write(f, "touched", 7);
    return 1;
}
