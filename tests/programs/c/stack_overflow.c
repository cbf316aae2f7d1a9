#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int f(volatile char *p) { volatile char a[4096]; a[0] = *p; return f(a) + a[0]; }
int main(void) { char c = 1; return f(&c); }
