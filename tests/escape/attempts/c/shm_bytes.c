/* escape: layers=tmp */
int main(void)
{
    static char bytes[1 << 20];
    char path[32];
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 80; i++) {
        snprintf(path, sizeof path, "/dev/shm/%d", i);
        int file = open(path, O_CREAT | O_WRONLY, 0600);
        if (file < 0 || write(file, bytes, sizeof bytes) != sizeof bytes)
            return 1;
        close(file);
    }
    escaped();
}
