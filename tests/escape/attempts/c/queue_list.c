/* escape: layers=ipc */
int main(void)
{
    struct msginfo info;
    if (msgctl(0, MSG_INFO, (struct msqid_ds *)&info) >= 0 && info.msgpool > 0)
        escaped();
    return 1;
}
