#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ptrace.h>
int main(void)
{
    for (int i = 0; i < 100000; i++)
        ptrace(PTRACE_TRACEME, 0, 0, 0);
    return 0;
}
