/* escape: layers=view,uid,caps */
int main(void)
{
    mkfifo("/..@DIR@/fifo", 0600);
    return 1;
}
