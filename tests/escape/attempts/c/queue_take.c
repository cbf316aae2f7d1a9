/* escape: layers=ipc */
int main(void)
{
    char b[64];
    msgrcv(msgget(@KEY@, 0), b, 32, 0, IPC_NOWAIT);
    return 1;
}
