/* escape: layers=ipc runs=3 */
int main(void)
{
    if (shmget(@KEY@ + 1, 0, 0) >= 0)
        escaped();
    shmget(@KEY@ + 1, 4096, IPC_CREAT | 0666);
    return 1;
}
