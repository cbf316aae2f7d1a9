#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int count;
static void *work(void *x)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        count++;
        pthread_mutex_unlock(&lock);
    }
    return x;
}
static volatile sig_atomic_t rang;
static void ring(int s) { rang = s; }
int main(void)
{
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        if (pthread_create(t + i, NULL, work, NULL)) return 1;
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    printf("%d\n", count);
    int p[2];
    char text[16] = {0};
    if (pipe(p)) return 2;
    if (fork() == 0) { write(p[1], "child", 5); _exit(7); }
    int status;
    wait(&status);
    read(p[0], text, 5);
    printf("%s %d\n", text, WEXITSTATUS(status));
    signal(SIGALRM, ring);
    alarm(1);
    pause();
    printf("%d\n", rang == SIGALRM);
    FILE *f = fopen("/tmp/file", "w+");
    fprintf(f, "%d", 12345);
    rewind(f);
    int n = 0;
    fscanf(f, "%d", &n);
    struct stat info;
    fstat(fileno(f), &info);
    printf("%d %d\n", n, (int)info.st_size);
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fork() == 0) { *shared = 99; _exit(0); }
    wait(NULL);
    printf("%d\n", *shared);
    struct timespec ts = {0, 1000000};
    printf("%d %d\n", nanosleep(&ts, NULL), mkfifo("/tmp/fifo", 0600));
    return 0;
}
