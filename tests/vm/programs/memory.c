/* Touches 96 MB and exits 0: within no limit of 64 MB, unless the limit does not hold. */
#include <stdlib.h>

int main(void)
{
    volatile char *p = malloc(96 << 20);
    if (!p)
        return 1;
    for (int i = 0; i < 96 << 20; i += 4096)
        p[i] = 1;
    return 0;
}
