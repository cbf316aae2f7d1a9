/* Stays while the test reads its group's files from outside. */
#include <unistd.h>

int main(void)
{
    pause();
    return 0;
}
