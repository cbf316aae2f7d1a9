/* escape: layers=view,uid,caps */
int main(void)
{
    link("/..@DIR@/target", "/..@DIR@/other");
    return 1;
}
