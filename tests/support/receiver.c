/* See receiver.h. */
#include "tests/support/receiver.h"
#include "lib/base/strict.h"
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PYTHON "/usr/bin/python3.11"

static int port_of(const char *json, const char *name)
{
    char key[32];
    int port = 0;

    snprintf(key, sizeof key, "\"%s\": ", name);
    const char *at = strstr(json, key);
    CHECK(at && sscanf(at + strlen(key), "%d", &port) == 1);
    return port;
}

static void read_ports(struct receiver *receiver)
{
    char path[96], json[512];
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/ports.json", receiver->dir);
    for (int i = 0; i < 300 && !(file = fopen(path, "r")); i++)
        usleep(50000);
    CHECK(file != NULL);
    json[fread(json, 1, sizeof json - 1, file)] = '\0';
    fclose(file);
    receiver->http = port_of(json, "http");
    receiver->https = port_of(json, "https");
    receiver->expired = port_of(json, "expired");
    receiver->selfsigned = port_of(json, "selfsigned");
    receiver->wronghost = port_of(json, "wronghost");
    receiver->mute = port_of(json, "mute");
    snprintf(receiver->dns, sizeof receiver->dns, "127.0.0.1:%d", port_of(json, "dns"));
}

void receiver_start_or_skip(struct receiver *receiver)
{
    int pipe_fds[2];

    if (access(PYTHON, X_OK) < 0 || access("/usr/bin/openssl", X_OK) < 0) {
        fprintf(stderr, "skipped: " PYTHON " or /usr/bin/openssl is missing\n");
        exit(77);
    }
    *receiver = (struct receiver){.dir = "/tmp/rustbox-receiver.XXXXXX"};
    CHECK(mkdtemp(receiver->dir) && pipe(pipe_fds) == 0);
    snprintf(receiver->ca_file, sizeof receiver->ca_file, "%s/ca.pem", receiver->dir);
    snprintf(receiver->log_file, sizeof receiver->log_file, "%s/log.tsv", receiver->dir);
    receiver->pid = fork();
    CHECK(receiver->pid >= 0);
    if (receiver->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipe_fds[0], 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        execl(PYTHON, PYTHON, "tests/support/receiver.py", receiver->dir, (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[0]);
    receiver->stdin_fd = pipe_fds[1];
    read_ports(receiver);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void receiver_stop(struct receiver *receiver)
{
    kill(receiver->pid, SIGKILL);
    waitpid(receiver->pid, NULL, 0);
    close(receiver->stdin_fd);
    nftw(receiver->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
