#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
    long n, x, s = 0;
    scanf("%ld", &n);
    while (n-- && scanf("%ld", &x) == 1)
        s += x;
    printf("%ld\n", s);
}
