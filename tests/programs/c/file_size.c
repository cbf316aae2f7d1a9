#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
int main(void)
{
    static char x[1 << 16];
    int fd = open("/tmp/x", O_CREAT | O_WRONLY, 0600);
    for (;;)
        if (write(fd, x, sizeof x) < 0)
            return 1;
}
