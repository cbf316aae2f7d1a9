/* escape: layers=ipc */
int main(void)
{
    struct { long t; char b[8]; } m = {1, "x"};
    msgsnd(msgget(@KEY@, 0), &m, 8, IPC_NOWAIT);
    return 1;
}
