/* learn FAMILY CALLS COMMAND...: runs a command under a family's filter in learning form and prints
 * every call that is unlisted or dangerous, once each, one name a line in the file CALLS. The calls
 * go on (notify and continue), so that the command meets what it meets without a filter. For our
 * own programs only: no sandbox. */
#include "sandbox/filter.h"
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_MAX 512

static void serve(int listener, FILE *calls)
{
    static bool seen[CALLS_MAX];
    for (;;) {
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        if (poll(&ready, 1, 60000) <= 0 || (ready.revents & POLLIN) == 0)
            return;
        union {
            struct seccomp_notif call;
            char room[512];
        } in;
        memset(&in, 0, sizeof in);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0)
            continue;
        int number = in.call.data.nr;
        if (number >= 0 && number < CALLS_MAX && !seen[number]) {
            seen[number] = true;
            char *name = seccomp_syscall_resolve_num_arch(in.call.data.arch, number);
            fprintf(calls, "%s\n", name ? name : "unknown");
            free(name);
        }
        struct seccomp_notif_resp answer = {.id = in.call.id,
                                            .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

static int find_family(const char *name)
{
    for (unsigned i = 0; i < FILTER_FAMILY_COUNT; i++)
        if (strcmp(name, filter_family_name((enum filter_family)i)) == 0)
            return (int)i;
    return -1;
}

/* Loads the filter, tells the listener's number, waits until the parent has it, becomes the
 * command. */
_Noreturn static void child(const struct filter *filter, int tell, int wait_for, char **command)
{
    char word;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter->prog);
    if (listener >= 0 && write(tell, &listener, sizeof listener) == sizeof listener &&
        read(wait_for, &word, 1) == 1)
        execv(command[0], command);
    _exit(99);
}

static int take_listener(pid_t pid, int told, int go)
{
    int number = -1, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 || read(told, &number, sizeof number) != sizeof number)
        return -1;
    int listener = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    close(pidfd);
    return listener >= 0 && write(go, "", 1) == 1 ? listener : -1;
}

int main(int argc, char **argv)
{
    static struct filter filters[FILTER_FAMILY_COUNT];
    struct err err = {0};
    int family = argc > 3 ? find_family(argv[1]) : -1;
    if (family < 0) {
        fprintf(stderr, "usage: learn FAMILY CALLS COMMAND...\n");
        return 2;
    }
    if (filters_build_learning(filters, &err) != 0) {
        fprintf(stderr, "learn: %s\n", err.message);
        return 2;
    }
    int tell[2], go[2];
    if (pipe2(tell, O_CLOEXEC) != 0 || pipe2(go, O_CLOEXEC) != 0)
        return 2;
    pid_t pid = fork();
    if (pid == 0)
        child(&filters[family], tell[1], go[0], argv + 3);
    int listener = pid > 0 ? take_listener(pid, tell[0], go[1]) : -1;
    FILE *calls = fopen(argv[2], "we");
    if (listener < 0 || !calls) {
        fprintf(stderr, "learn: no listener, or %s cannot be written\n", argv[2]);
        return 2;
    }
    serve(listener, calls);
    fclose(calls);
    int status = 0;
    waitpid(pid, &status, 0);
    filters_done(filters);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
