#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
int main(void)
{
    static char x[1 << 20];
    char name[40];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "/tmp/f%d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0 || write(fd, x, sizeof x) != sizeof x) {
            puts(i > 50 && i < 65 ? "full" : "odd");
            return 0;
        }
        close(fd);
    }
    puts("never full");
}
