/* escape: layers=ipc */
int main(void)
{
    struct shm_info info;
    if (shmctl(0, SHM_INFO, (struct shmid_ds *)&info) >= 0 && info.used_ids > 0)
        escaped();
    return 1;
}
