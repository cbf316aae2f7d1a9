#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>
int main(void)
{
    if (fork() == 0)
        for (;;)
            memset(malloc(1 << 20), 1, 1 << 20);
    wait(NULL);
    puts("parent fine");
    return 0;
}
