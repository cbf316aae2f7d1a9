/* Makes, looks at and removes the host's canaries; see canary.h. */
#include "tests/escape/canary.h"
#include "lib/base/cleanup.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TARGET_TEXT "untouched\n"

static void write_file(const char *dir, const char *name, const char *text, struct stat *st)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    AUTO_FD int file = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(file, 0644), 0);
    assert_int_equal(fstat(file, st), 0);
}

static void copy_setuid(const char *dir)
{
    char path[160], bytes[65536];
    snprintf(path, sizeof path, "%s/setuid", dir);
    AUTO_FD int from = open("/usr/bin/id", O_RDONLY | O_CLOEXEC);
    AUTO_FD int to = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    assert_true(from >= 0 && to >= 0);
    for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;)
        assert_int_equal(write(to, bytes, (size_t)n), n);
    assert_int_equal(fchmod(to, 04755), 0);
}

static int inet_listener(int type, unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)*port)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0)
        fail_msg("bind 127.0.0.1:%u: %s", *port, strerror(errno));
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    assert_true(type == SOCK_DGRAM || listen(fd, 64) == 0);
    return fd;
}

static int unix_listener(int type, const char *name, bool abstract)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path + abstract, sizeof at.sun_path - abstract, "%s", name);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_true(type == SOCK_DGRAM || listen(fd, 64) == 0);
    return fd;
}

static void start_process(struct canary *canary)
{
    canary->process = fork();
    assert_true(canary->process >= 0);
    if (canary->process == 0)
        for (;;)
            pause();
}

static void make_ipc(struct canary *canary)
{
    canary->key = 0x52420000 | (getpid() & 0xffff);
    canary->segment = shmget(canary->key, 4096, IPC_CREAT | 0666);
    canary->queue = msgget(canary->key, IPC_CREAT | 0666);
    canary->semaphore = semget(canary->key, 1, IPC_CREAT | 0666);
    char *text = shmat(canary->segment, NULL, 0);
    assert_true(text != (void *)-1);
    memcpy(text, CANARY_SHM_TEXT, sizeof CANARY_SHM_TEXT);
    shmdt(text);
    struct {
        long type;
        char text[8];
    } message = {1, "canary"};
    assert_int_equal(msgsnd(canary->queue, &message, sizeof message.text, 0), 0);
}

void canary_make(struct canary *canary)
{
    struct stat st;
    char path[160];
    *canary = (struct canary){.port = 0};
    snprintf(canary->dir, sizeof canary->dir, "/tmp/rustbox-escape-XXXXXX");
    assert_non_null(mkdtemp(canary->dir));
    assert_int_equal(chmod(canary->dir, 0755), 0);
    snprintf(canary->name, sizeof canary->name, "rustbox-escape-%d", getpid());
    snprintf(canary->secret, sizeof canary->secret, "SECRET_%d_%lx", getpid(), (long)random());
    snprintf(canary->shared, sizeof canary->shared, "/dev/shm/%s", canary->name);
    gethostname(canary->host_name, sizeof canary->host_name);
    write_file(canary->dir, "secret", canary->secret, &canary->secret_stat);
    write_file(canary->dir, "target", TARGET_TEXT, &canary->target);
    write_file("/dev/shm", canary->name, canary->secret, &st);
    copy_setuid(canary->dir);
    canary->tcp = inet_listener(SOCK_STREAM, &canary->port);
    canary->udp = inet_listener(SOCK_DGRAM, &canary->port);
    canary->stream = unix_listener(SOCK_STREAM, canary->name, true);
    snprintf(path, sizeof path, "%s-d", canary->name);
    canary->datagram = unix_listener(SOCK_DGRAM, path, true);
    snprintf(path, sizeof path, "%s/socket", canary->dir);
    canary->path_socket = unix_listener(SOCK_STREAM, path, false);
    assert_int_equal(chmod(path, 0666), 0);
    make_ipc(canary);
    start_process(canary);
}

static bool connected(int fd)
{
    AUTO_FD int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    return client >= 0;
}

static bool received(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) >= 0;
}

static bool same_file(const struct canary *canary, const char *name, const char *text,
                      const struct stat *was)
{
    char path[160], now[128] = "";
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", canary->dir, name);
    AUTO_FD int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return file >= 0 && fstat(file, &st) == 0 && st.st_ino == was->st_ino &&
           st.st_mode == was->st_mode && st.st_uid == was->st_uid && st.st_nlink == 1 &&
           st.st_mtim.tv_nsec == was->st_mtim.tv_nsec && read(file, now, sizeof now - 1) >= 0 &&
           strcmp(now, text) == 0;
}

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *list = opendir(path);
    while (list && readdir(list))
        count++;
    if (list)
        closedir(list);
    return count;
}

/* What a job left behind on the host; it goes. */
static bool ipc_left(const struct canary *canary)
{
    int segment = shmget(canary->key + 1, 0, 0), queue = msgget(canary->key + 1, 0),
        semaphore = semget(canary->key + 1, 0, 0);
    if (segment >= 0)
        shmctl(segment, IPC_RMID, NULL);
    if (queue >= 0)
        msgctl(queue, IPC_RMID, NULL);
    if (semaphore >= 0)
        semctl(semaphore, 0, IPC_RMID);
    return segment >= 0 || queue >= 0 || semaphore >= 0;
}

static bool ipc_intact(const struct canary *canary)
{
    struct msqid_ds queue;
    char *text = shmat(canary->segment, NULL, SHM_RDONLY);
    if (text == (void *)-1)
        return false;
    bool same = strcmp(text, CANARY_SHM_TEXT) == 0;
    shmdt(text);
    return same && msgctl(canary->queue, IPC_STAT, &queue) == 0 && queue.msg_qnum == 1 &&
           semctl(canary->semaphore, 0, GETVAL) == 0;
}

const char *canary_touched(struct canary *canary)
{
    char host[65] = "";
    gethostname(host, sizeof host);
    if (!same_file(canary, "secret", canary->secret, &canary->secret_stat))
        return "the secret's file";
    if (!same_file(canary, "target", TARGET_TEXT, &canary->target))
        return "the target's file";
    if (entries(canary->dir) != 6)
        return "the canary's directory";
    if (waitpid(canary->process, NULL, WNOHANG) != 0)
        return "the process";
    if (connected(canary->tcp) || received(canary->udp))
        return "the listener on 127.0.0.1";
    if (connected(canary->stream) || received(canary->datagram) || connected(canary->path_socket))
        return "a unix socket";
    if (!ipc_intact(canary))
        return "System V IPC";
    if (ipc_left(canary))
        return "System V IPC left behind";
    return strcmp(host, canary->host_name) == 0 ? NULL : "the host's name";
}

void canary_restore(struct canary *canary)
{
    char path[160];
    DIR *list = opendir(canary->dir);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        if (strcmp(entry->d_name, "socket") == 0 || strcmp(entry->d_name, "setuid") == 0 ||
            entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%.64s", canary->dir, entry->d_name);
        unlink(path);
    }
    if (list)
        closedir(list);
    write_file(canary->dir, "secret", canary->secret, &canary->secret_stat);
    write_file(canary->dir, "target", TARGET_TEXT, &canary->target);
    shmctl(canary->segment, IPC_RMID, NULL);
    msgctl(canary->queue, IPC_RMID, NULL);
    semctl(canary->semaphore, 0, IPC_RMID);
    make_ipc(canary);
    if (kill(canary->process, 0) != 0 || waitpid(canary->process, NULL, WNOHANG) != 0)
        start_process(canary);
}

void canary_remove(struct canary *canary)
{
    static const char *const names[] = {"secret", "target", "socket", "setuid"};
    char path[160];
    kill(canary->process, SIGKILL);
    waitpid(canary->process, NULL, 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", canary->dir, names[i]);
        unlink(path);
    }
    rmdir(canary->dir);
    unlink(canary->shared);
    shmctl(canary->segment, IPC_RMID, NULL);
    msgctl(canary->queue, IPC_RMID, NULL);
    semctl(canary->semaphore, 0, IPC_RMID);
    int fds[] = {canary->tcp, canary->udp, canary->stream, canary->datagram, canary->path_socket};
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
}
