/* escape: layers=view */
#include <sys/sendfile.h>
int main(void)
{
    int file = open(host("@DIR@/secret"), O_RDONLY);
    sendfile(1, file, 0, 4096);
    return 1;
}
