/* escape: layers=ipc runs=3 */
int main(void)
{
    if (msgget(@KEY@ + 1, 0) >= 0)
        escaped();
    msgget(@KEY@ + 1, IPC_CREAT | 0666);
    return 1;
}
