/* escape: layers=landlock,view,uid,caps abi=2 */
int main(void)
{
    open("/..@DIR@/new", O_CREAT | O_WRONLY, 0600);
    return 1;
}
