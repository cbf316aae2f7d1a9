/* escape: layers=ipc */
int main(void)
{
    char *p = (char *)shmat(shmget(@KEY@, 4096, 0), 0, 0);
    if (p != (void *)-1)
        strcpy(p, "touched");
    return 1;
}
