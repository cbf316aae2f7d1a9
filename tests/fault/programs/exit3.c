#include <stdio.h>

int main(void)
{
    puts("three");
    return 3;
}
