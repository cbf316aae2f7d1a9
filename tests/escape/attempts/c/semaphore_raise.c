/* escape: layers=ipc */
int main(void)
{
    struct sembuf op = {0, 1, IPC_NOWAIT};
    semop(semget(@KEY@, 1, 0), &op, 1);
    return 1;
}
