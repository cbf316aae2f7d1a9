/* Starts and stops the private broker of a test program. See broker.h. */
#include "tests/support/broker.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;

static int free_port(void)
{
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    return ntohs(at.sin_port);
}

static pid_t spawn(const char *log, char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    CHECK(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    return status;
}

static int connects(int port)
{
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    return connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
}

static void skip(const char *why)
{
    printf("skipped: %s\n", why);
    exit(77);
}

static void show_log(const char *log)
{
    char line[512];
    FILE *file = fopen(log, "re");

    while (file && fgets(line, sizeof line, file))
        fputs(line, stderr);
    if (file)
        fclose(file);
}

void broker_restart(struct broker *broker)
{
    char log[96];
    /* The broker must not outlive a test program that crashes. */
    char *run[] = {"/usr/bin/setpriv", "--pdeathsig", "KILL", "ops/kafka/run", broker->dir, NULL};

    snprintf(log, sizeof log, "%s/log", broker->dir);
    broker->pid = spawn(log, run);
    for (int i = 0; i < 300; i++) {
        if (connects(broker->port))
            return;
        if (waitpid(broker->pid, NULL, WNOHANG) == broker->pid)
            break;
        usleep(100000);
    }
    show_log(log);
    fprintf(stderr, "the broker did not start\n");
    exit(1);
}

void broker_start_or_skip(struct broker *broker)
{
    char port[16], controller[16], log[96];
    char *format[] = {"ops/kafka/format", broker->dir, port, controller, NULL};

    if (access("ops/kafka/run", X_OK) != 0)
        skip("ops/kafka/run is missing (run from the root of the checkout)");
    setenv("RUSTBOX_KAFKA_PROFILE", "test", 1);
    snprintf(broker->dir, sizeof broker->dir, "/tmp/rustbox-broker.XXXXXX");
    CHECK(mkdtemp(broker->dir) != NULL);
    broker->port = free_port();
    snprintf(port, sizeof port, "%d", broker->port);
    snprintf(controller, sizeof controller, "%d", free_port());
    snprintf(broker->address, sizeof broker->address, "127.0.0.1:%d", broker->port);
    snprintf(log, sizeof log, "%s/log", broker->dir);
    if (wait_for(spawn(log, format)) != 0) {
        show_log(log);
        broker->pid = 0;
        broker_stop(broker);
        skip("no broker can be started (its reason is above)");
    }
    broker_restart(broker);
}

void broker_kill(struct broker *broker)
{
    if (broker->pid <= 0)
        return;
    kill(broker->pid, SIGKILL);
    wait_for(broker->pid);
    broker->pid = 0;
}

void broker_pause(struct broker *broker, int on)
{
    kill(broker->pid, on ? SIGSTOP : SIGCONT);
}

void broker_stop(struct broker *broker)
{
    char *remove[] = {"/bin/rm", "-rf", broker->dir, NULL};

    broker_kill(broker);
    wait_for(spawn("/dev/null", remove));
}
