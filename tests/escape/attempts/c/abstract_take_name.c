/* escape: layers=network cause=normal_exit verdict=AC */
int main(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX}; /* its name is free here: another namespace */
    strcpy(a.sun_path + 1, "@NAME@");
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(s, (struct sockaddr *)&a,
             offsetof(struct sockaddr_un, sun_path) + 1 + strlen("@NAME@")) != 0 &&
        errno == EADDRINUSE)
        escaped();
    return 0;
}
