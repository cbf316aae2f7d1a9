/* escape: layers=fresh runs=3 */
int main(void)
{
    int file = shm_open("/left", O_RDONLY, 0);
    if (file >= 0)
        escaped();
    close(shm_open("/left", O_CREAT | O_RDWR, 0666));
    return 1;
}
