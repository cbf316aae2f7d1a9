/* escape: layers=network */
int main(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path + 1, "@NAME@-d");
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);
    sendto(s, "x", 1, 0, (struct sockaddr *)&a,
           offsetof(struct sockaddr_un, sun_path) + 1 + strlen("@NAME@-d"));
    return 1;
}
