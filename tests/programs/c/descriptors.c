#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
int main(void)
{
    while (open("/dev/null", O_RDONLY) >= 0)
        continue;
    return errno == EMFILE ? 5 : 6;
}
