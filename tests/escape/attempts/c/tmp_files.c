/* escape: layers=tmp */
int main(void)
{
    char path[32];
    for (int i = 0; i < 8000; i++) {
        snprintf(path, sizeof path, "/tmp/%d", i);
        int file = open(path, O_CREAT | O_WRONLY, 0600);
        if (file < 0)
            return 1;
        close(file);
    }
    escaped();
}
