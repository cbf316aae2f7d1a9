#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) { fwrite("a\0b\xff\xfe\xc3(\x80z\n", 1, 10, stdout); }
