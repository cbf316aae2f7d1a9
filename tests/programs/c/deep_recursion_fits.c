#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static long f(long n) { volatile char pad[256]; pad[0] = 1; return n ? f(n - 1) + pad[0] : 0; }
int main(void) { printf("%ld\n", f(100000)); }
