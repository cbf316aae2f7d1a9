#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) { signal(SIGXCPU, SIG_IGN); signal(SIGTERM, SIG_IGN); for (volatile int i = 0;; i++) ; }
