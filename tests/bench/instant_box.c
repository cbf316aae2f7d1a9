/* rustbox-instant-box: stands in for the launcher and answers every job at once with exit status 0,
 * without running it, so that `ops/bench pipeline` measures everything but the sandbox.
 *
 * Speaks the launcher's protocol to one client at a time. Started by ops/bench alone; never part of
 * an installation. */
#include "lib/base/cleanup.h"
#include "sandbox/wire.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 64

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int listen_at(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (span_copy(span_text(path), address.sun_path, sizeof address.sun_path) != 0)
        return err_set(err, ERR_CONFIG, "the socket's path is over %zu bytes",
                       sizeof address.sun_path - 1);
    unlink(path);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0)
        return err_sys(err, ERR_SYSTEM, "listen on %s", path);
    if (chmod(path, 0666) != 0)
        return err_sys(err, ERR_SYSTEM, "open %s to execute's user", path);
    return take_fd(&fd);
}

/* What the launcher would have measured of a program that did nothing. */
static struct evidence evidence_of(const struct box_job *job, int64_t started_ns)
{
    struct evidence ev = {.setup_ok = true,
                          .tier = "none",
                          .started_wall_ns = started_ns,
                          .ended_wall_ns = wall_ns()};
    ev.run = (struct phase_evidence){.ran = true,
                                     .reported = true,
                                     .exited = true,
                                     .limits = job->run,
                                     .cpu_ns = 1,
                                     .wall_ns = 1,
                                     .pids_peak = 1,
                                     .pids_max = job->run.processes,
                                     .group_empty = true};
    return ev;
}

static int answer(int client, struct span text, const int files[WIRE_FDS], struct err *err)
{
    struct wire_request request;
    int64_t started_ns = wall_ns();
    if (wire_decode_request(text, &request, err) != 0)
        return -1;
    if (request.kind == WIRE_CANCEL) /* its report is on the way already */
        return 0;
    struct evidence ev = evidence_of(&request.job, started_ns);
    BUF_AUTO struct buf report;
    buf_init(&report, BOX_MESSAGE_BYTES);
    if (wire_encode_report(&request.job.id, &ev, &report, err) != 0)
        return -1;
    struct pollfd room = {.fd = client, .events = POLLOUT};
    for (;;) {
        int sent = wire_send(client, buf_span(&report), files, WIRE_FDS, err);
        if (sent != 0)
            return sent < 0 ? -1 : 0;
        poll(&room, 1, -1);
    }
}

static int serve(int client, const int files[WIRE_FDS], struct err *err)
{
    static char buffer[BOX_MESSAGE_BYTES];
    struct box_info info = {
        .slots = SLOTS, .languages = (1u << LANGUAGE_COUNT) - 1, .cgroup_backend = "v1"};
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    if (wire_encode_greeting(&info, &text, err) != 0 ||
        wire_send(client, buf_span(&text), NULL, 0, err) != 1)
        return -1;
    for (;;) {
        struct pollfd poller = {.fd = client, .events = POLLIN};
        int fds[WIRE_FDS];
        struct span message;
        poll(&poller, 1, -1);
        int got = wire_recv(client, buffer, sizeof buffer, &message, fds, err);
        if (got < 0)
            return -1;
        int result = got == 0 ? 0 : answer(client, message, files, err);
        for (size_t i = 0; got > 0 && i < WIRE_FDS; i++)
            cleanup_fd(&fds[i]);
        if (result != 0)
            return -1;
    }
}

int main(int argc, char **argv)
{
    struct err err = {0};
    if (argc != 2 || argv[1][0] == '-') {
        fputs("usage: rustbox-instant-box SOCKET\n"
              "Stands in for the launcher: answers every job at once with exit status 0 and no "
              "output.\nIt runs nothing; only ops/bench starts it.\n",
              argc == 2 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    int files[WIRE_FDS] = {memfd_create("stdout", MFD_CLOEXEC),
                           memfd_create("stderr", MFD_CLOEXEC)};
    int listener = files[0] < 0 || files[1] < 0 ? -1 : listen_at(argv[1], &err);
    if (listener < 0) {
        fprintf(stderr, "rustbox-instant-box: %s\n", err.message);
        return 1;
    }
    for (;;) {
        AUTO_FD int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0 && serve(client, files, &err) != 0)
            fprintf(stderr, "rustbox-instant-box: %s\n", err.message);
    }
}
