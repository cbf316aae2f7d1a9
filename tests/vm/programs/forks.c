#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    for (;;) {
        int pid = fork();
        if (pid < 0)
            exit(1);
        if (pid == 0)
            pause();
    }
}
