#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
    for (;;) {
        pid_t p = fork();
        if (p < 0)
            return 1;
        if (p == 0) {
            sleep(20);
            _exit(0);
        }
    }
}
