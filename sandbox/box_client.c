/* The launcher's client: one connection, jobs out as sealed memfds, reports in as mapped memory.
 * Runs in the consumers, so it decides nothing about isolation and never blocks after box_open. */
#include "lib/base/cleanup.h"
#include "sandbox/box.h"
#include "sandbox/wire.h"
#include "schemas/verdict_rules.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct box {
    int fd;
    uint32_t slots, in_flight;
    char buffer[BOX_MESSAGE_BYTES];
};

static int connect_to(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (span_copy(span_text(path), address.sun_path, sizeof address.sun_path) != 0)
        return err_set(err, ERR_CONFIG, "launcher socket path is over %zu bytes",
                       sizeof address.sun_path - 1);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return err_sys(err, ERR_LAUNCHER, "connect to the launcher at %s (is rustbox-box running?)",
                       path);
    return take_fd(&fd);
}

/* One message without descriptors; `what` names it in the error. */
static int wait_message(struct box *box, const char *what, int timeout_ms, struct span *text,
                        struct err *err)
{
    struct pollfd poller = {.fd = box->fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&poller, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return err_set(err, ERR_LAUNCHER, "no %s from the launcher within %d ms", what, timeout_ms);
    int fds[WIRE_FDS];
    int got = wire_recv(box->fd, box->buffer, sizeof box->buffer, text, fds, err);
    for (size_t i = 0; i < WIRE_FDS; i++)
        cleanup_fd(&fds[i]);
    if (got == 0)
        return err_set(err, ERR_LAUNCHER, "no %s from the launcher", what);
    return got < 0 ? -1 : 0;
}

static int wait_greeting(struct box *box, int timeout_ms, struct box_info *info, struct err *err)
{
    struct span text;
    if (wait_message(box, "greeting", timeout_ms, &text, err) != 0)
        return -1;
    if (wire_decode_greeting(text, info, err) != 0)
        return -1;
    box->slots = info->slots;
    return 0;
}

int box_open(const char *socket_path, int timeout_ms, struct box **out, struct box_info *info,
             struct err *err)
{
    struct box *box = calloc(1, sizeof *box);
    if (!box)
        return err_set(err, ERR_NO_MEMORY, "no memory for a launcher connection");
    box->fd = connect_to(socket_path, err);
    if (box->fd < 0 || wait_greeting(box, timeout_ms, info, err) != 0) {
        box_close(box);
        return -1;
    }
    *out = box;
    return 0;
}

void box_close(struct box *box)
{
    if (!box)
        return;
    if (box->fd >= 0)
        close(box->fd);
    free(box);
}

int box_fd(const struct box *box)
{
    return box->fd;
}

static int write_all(int fd, struct span content, const char *name, struct err *err)
{
    for (size_t done = 0; done < content.len;) {
        ssize_t n = write(fd, (const char *)content.data + done, content.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, ERR_SYSTEM, "write %s for the launcher", name);
        done += (size_t)n;
    }
    return 0;
}

/* The content, and the files' behind it. */
static int sealed_memfd(const char *name, struct span content, const struct box_file *files,
                        size_t count, struct err *err)
{
    AUTO_FD int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "memfd_create");
    if (write_all(fd, content, name, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (write_all(fd, files[i].content, name, err) != 0)
            return -1;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return err_sys(err, ERR_SYSTEM, "seal %s", name);
    return take_fd(&fd);
}

static int send_request(struct box *box, const struct wire_request *request, const int *fds,
                        size_t fd_count, struct err *err)
{
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    if (wire_encode_request(request, &text, err) != 0)
        return -1;
    int sent = wire_send(box->fd, buf_span(&text), fds, fd_count, err);
    if (sent == 0)
        return err_set(err, ERR_BUSY, "the launcher does not read its socket now");
    return sent < 0 ? -1 : 0;
}

/* code: NULL for a run of what is built. */
static int submit(struct box *box, struct wire_request *request, const struct box_job *code,
                  struct err *err)
{
    const struct box_job *job = &request->job;
    int fds[WIRE_FDS];
    size_t count = 0;
    if (box->in_flight >= box->slots)
        return err_set(err, ERR_BUSY, "all %u slots of the launcher are in use", box->slots);
    AUTO_FD int source =
        code ? sealed_memfd("code", code->code, code->files, code->file_count, err) : -1;
    if (code && source < 0)
        return -1;
    AUTO_FD int input = sealed_memfd("stdin", job->stdin_data, NULL, 0, err);
    if (input < 0)
        return -1;
    if (code)
        fds[count++] = source;
    fds[count++] = input;
    if (send_request(box, request, fds, count, err) != 0)
        return -1;
    box->in_flight++;
    return 0;
}

int box_submit(struct box *box, const struct box_job *job, struct err *err)
{
    struct wire_request request = {.kind = WIRE_JOB, .job = *job};
    return submit(box, &request, job, err);
}

int box_build(struct box *box, const struct box_job *job, struct err *err)
{
    struct wire_request request = {.kind = WIRE_BUILD, .job = *job};
    request.job.stdin_data = span_of("", 0);
    request.job.arg_count = 0;
    return submit(box, &request, job, err);
}

bool box_built(enum language language, const struct evidence *ev)
{
    bool compiles = limits_compile(language).memory_bytes != 0;
    bool cancelled = ((ev->compile.actions | ev->run.actions) & ACTION_KILL_CANCEL) != 0;
    bool compiled = strcmp(ev->compile_cache, "hit") == 0 || verdict_phase_passed(&ev->compile);
    return ev->setup_ok && !cancelled && (!compiles || compiled);
}

int box_run_built(struct box *box, const struct uuid *built, const struct box_job *job,
                  struct err *err)
{
    struct wire_request request = {.kind = WIRE_RUN, .job = *job, .built = *built};
    request.job.file_count = 0;
    return submit(box, &request, NULL, err);
}

int box_release(struct box *box, const struct uuid *built, struct err *err)
{
    struct wire_request request = {.kind = WIRE_RELEASE, .job = {.id = *built}};
    return send_request(box, &request, NULL, 0, err);
}

int box_cancel(struct box *box, const struct uuid *id, struct err *err)
{
    struct wire_request request = {.kind = WIRE_CANCEL, .job = {.id = *id}};
    return send_request(box, &request, NULL, 0, err);
}

int box_forget(struct box *box, const struct uuid *project, int timeout_ms, uint64_t *entries,
               struct err *err)
{
    struct wire_request request = {.kind = WIRE_FORGET, .job = {.project = *project}};
    struct uuid forgotten;
    struct span text;
    if (box->in_flight > 0)
        return err_set(err, ERR_INVALID, "forgetting a project needs a connection without jobs");
    if (send_request(box, &request, NULL, 0, err) != 0 ||
        wait_message(box, "answer", timeout_ms, &text, err) != 0 ||
        wire_decode_forgotten(text, &forgotten, entries, err) != 0)
        return -1;
    return uuid_eq(&forgotten, project)
               ? 0
               : err_set(err, ERR_LAUNCHER, "the launcher forgot another project: reconnect");
}

static int map_output(int fd, struct span *out, void **map, struct err *err)
{
    struct stat st;
    *out = span_of("", 0);
    *map = NULL;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set(err, ERR_LAUNCHER, "a report came without its outputs");
    if (st.st_size == 0)
        return 0;
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return err_sys(err, ERR_SYSTEM, "map an output of %lld bytes", (long long)st.st_size);
    *map = data;
    *out = span_of(data, (size_t)st.st_size);
    return 0;
}

int box_next(struct box *box, struct box_report *out, struct err *err)
{
    int fds[WIRE_FDS];
    struct span text;
    int got = wire_recv(box->fd, box->buffer, sizeof box->buffer, &text, fds, err);
    if (got <= 0)
        return got;
    memset(out, 0, sizeof *out);
    int result = wire_decode_report(text, &out->id, &out->evidence, err);
    if (result == 0)
        result = map_output(fds[0], &out->out, &out->private_maps[0], err);
    if (result == 0)
        result = map_output(fds[1], &out->errout, &out->private_maps[1], err);
    for (size_t i = 0; i < WIRE_FDS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (result != 0) {
        box_report_done(out);
        return -1;
    }
    if (box->in_flight > 0)
        box->in_flight--;
    return 1;
}

void box_report_done(struct box_report *report)
{
    if (report->private_maps[0])
        munmap(report->private_maps[0], report->out.len);
    if (report->private_maps[1])
        munmap(report->private_maps[1], report->errout.len);
    memset(report, 0, sizeof *report);
}
