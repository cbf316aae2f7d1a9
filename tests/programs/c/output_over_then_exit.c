#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
    static char x[1 << 16];
    memset(x, 97, sizeof x);
    for (int i = 0; i < 17; i++)
        write(1, x, sizeof x);
    return 0;
}
