/* escape: layers=ipc runs=3 */
int main(void)
{
    if (semget(@KEY@ + 1, 0, 0) >= 0)
        escaped();
    semget(@KEY@ + 1, 1, IPC_CREAT | 0666);
    return 1;
}
