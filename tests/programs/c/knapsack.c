#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    int n, cap, best[1001] = {0}, w, v;
    scanf("%d %d", &n, &cap);
    while (n--) {
        scanf("%d %d", &w, &v);
        for (int c = cap; c >= w; c--)
            if (best[c - w] + v > best[c])
                best[c] = best[c - w] + v;
    }
    printf("%d\n", best[cap]);
}
