#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int a[200] = {0}, b[200] = {1};
int main(void)
{
    for (int i = 0; i < 600; i++) {
        int carry = 0;
        for (int d = 0; d < 200; d++) {
            int s = a[d] + b[d] + carry;
            a[d] = b[d];
            b[d] = s % 10;
            carry = s / 10;
        }
    }
    int d = 199;
    while (d > 0 && a[d] == 0)
        d--;
    for (; d >= 0; d--)
        putchar('0' + a[d]);
    putchar('\n');
}
