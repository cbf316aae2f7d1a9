#include <stdio.h>

int main(void)
{
    puts("hello from v2");
    return 0;
}
