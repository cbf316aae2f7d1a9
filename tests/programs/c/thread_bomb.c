#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <pthread.h>
static void *f(void *x) { pause(); return x; }
int main(void)
{
    pthread_t t;
    while (pthread_create(&t, NULL, f, NULL) == 0)
        continue;
    return 1;
}
