/* escape: layers=view,uid,caps */
int main(void)
{
    open("/..@DIR@/new", O_CREAT | O_WRONLY, 0600);
    return 1;
}
