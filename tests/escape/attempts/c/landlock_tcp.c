/* escape: layers=landlock,network,seccomp abi=4 */
#include <arpa/inet.h>
#include <netinet/in.h>
int main(void)
{
    struct sockaddr_in a = {};
    a.sin_family = AF_INET;
    a.sin_port = htons(@PORT@);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    connect(s, (struct sockaddr *)&a, sizeof a);
    return 1;
}
