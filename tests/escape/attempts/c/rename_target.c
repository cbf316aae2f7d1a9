/* escape: layers=view,uid,caps */
int main(void)
{
    rename("/..@DIR@/target", "/..@DIR@/moved");
    return 1;
}
