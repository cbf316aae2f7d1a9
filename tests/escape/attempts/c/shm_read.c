/* escape: layers=ipc */
int main(void)
{
    int id = shmget(@KEY@, 4096, 0);
    if (id >= 0)
        escaped();
    return 1;
}
