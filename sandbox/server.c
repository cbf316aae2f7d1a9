/* Connections and jobs. A client may have `slots` jobs in flight and the launcher runs `slots` of
 * all clients' at once, in order of arrival. Whatever a client sends that is not exactly a job, a
 * cancel or a forget closes its connection, and its jobs end; nobody else notices. */
#include "sandbox/server.h"
#include "lib/base/cleanup.h"
#include "lib/log/log.h"
#include "sandbox/server_impl.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int server_listen(const struct host_config *config, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (span_copy(span_text(config->socket_path), address.sun_path, sizeof address.sun_path) != 0)
        return err_set(err, ERR_CONFIG, "socket path is over %zu bytes",
                       sizeof address.sun_path - 1);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    AUTO_FD int trial = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || trial < 0)
        return err_sys(err, ERR_SYSTEM, "socket");
    if (connect(trial, (struct sockaddr *)&address, sizeof address) == 0)
        return err_set(err, ERR_CONFIG, "another launcher listens on %s", config->socket_path);
    if (errno == ECONNREFUSED && unlink(config->socket_path) != 0)
        return err_sys(err, ERR_CONFIG, "remove the old socket %s", config->socket_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return err_sys(err, ERR_CONFIG, "bind %s", config->socket_path);
    if (chown(config->socket_path, config->allowed_uid, config->socket_gid) != 0 ||
        chmod(config->socket_path, 0660) != 0)
        return err_sys(err, ERR_CONFIG, "hand %s to its user", config->socket_path);
    if (listen(fd, SERVER_CLIENTS) != 0)
        return err_sys(err, ERR_SYSTEM, "listen");
    return take_fd(&fd);
}

static void drop_client(struct client *client, enum log_level level, const char *why)
{
    struct server *server = client->server;
    log_event(level, "client_closed", kv("uid", client->uid), kv("jobs", client->jobs),
              kv("why", why));
    for (uint32_t i = 0; i < server->place_count; i++)
        if (server->places[i].client == client)
            place_abandon(&server->places[i]);
    built_release_all(&client->built);
    int fd = client->watch.fd;
    loop_remove(&server->host->loop, &client->watch);
    close(fd);
    client->server = NULL;
}

static int take_job(struct client *client, const struct wire_request *request, int fds[WIRE_FDS],
                    struct err *err)
{
    struct server *server = client->server;
    bool run = request->kind == WIRE_RUN;
    if (fds[0] < 0 || (fds[1] < 0) != run)
        return err_set(err, ERR_INVALID,
                       "a job comes with two descriptors, code and stdin, a run with stdin alone");
    if (run && !built_find(&client->built, &request->built))
        return err_set(err, ERR_INVALID, "nothing of that id was built");
    if (client->jobs >= server->host->config.slots)
        return err_set(err, ERR_INVALID, "more than %u jobs in flight", server->host->config.slots);
    if (place_find(server, client, &request->job.id))
        return err_set(err, ERR_INVALID, "two jobs in flight have the same id");
    int code = run ? -1 : take_fd(&fds[0]);
    place_add(server, client, request, code, take_fd(&fds[run ? 0 : 1]));
    return 0;
}

/* Answered, because whoever erases a project has to know that it is done. */
static int forget(struct client *client, const struct uuid *project, struct err *err)
{
    uint64_t entries = cache_forget(client->server->host->cache, project);
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    log_event(LOG_INFO, "project_forgotten", kv_uuid("project", project), kv("entries", entries));
    if (wire_encode_forgotten(project, entries, &text, err) != 0)
        return -1;
    int sent = wire_send(client->watch.fd, buf_span(&text), NULL, 0, err);
    return sent == 0 ? err_set(err, ERR_LAUNCHER, "a client that forgets does not read") : sent - 1;
}

static int handle(struct client *client, struct span text, int fds[WIRE_FDS], struct err *err)
{
    struct wire_request request;
    if (wire_decode_request(text, &request, err) != 0)
        return -1;
    if (request.kind == WIRE_JOB || request.kind == WIRE_BUILD || request.kind == WIRE_RUN)
        return take_job(client, &request, fds, err);
    if (fds[0] >= 0)
        return err_set(err, ERR_INVALID, "a cancel, release or forget comes without descriptors");
    if (request.kind == WIRE_FORGET)
        return forget(client, &request.job.project, err);
    if (request.kind == WIRE_RELEASE) {
        built_release(&client->built, &request.job.id);
        return 0;
    }
    struct place *place = place_find(client->server, client, &request.job.id);
    if (place) /* else its report is already on the way */
        place_cancel(place);
    return 0;
}

static void on_client(struct watch *watch, uint32_t events)
{
    struct client *client = watch->owner;
    struct server *server = client->server;
    if (events & EPOLLOUT)
        client_flush(client);
    if (!client->server || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    int fds[WIRE_FDS];
    struct span text;
    struct err err;
    int got = wire_recv(watch->fd, server->buffer, sizeof server->buffer, &text, fds, &err);
    if (got == 0)
        return;
    if (got < 0)
        return drop_client(client, LOG_INFO, err.message);
    int result = handle(client, text, fds, &err);
    for (size_t i = 0; i < WIRE_FDS; i++)
        cleanup_fd(&fds[i]);
    if (result != 0)
        drop_client(client, LOG_WARN, err.message);
    else
        server_schedule(server);
}

static int greet(const struct host *host, int fd, struct err *err)
{
    struct box_info info = {.slots = host->config.slots,
                            .permissive = host->config.permissive,
                            .controls = host->controls};
    memcpy(info.cgroup_backend, host->cgroups.backend->name, 3);
    for (int i = 0; i < LANGUAGE_COUNT; i++) {
        if (!host->toolchains[i].available)
            continue;
        info.languages |= 1u << i;
        memcpy(info.toolchain[i], host->toolchains[i].version, BOX_LANGUAGE_TEXT);
    }
    BUF_AUTO struct buf text;
    buf_init(&text, BOX_MESSAGE_BYTES);
    if (wire_encode_greeting(&info, &text, err) != 0)
        return -1;
    return wire_send(fd, buf_span(&text), NULL, 0, err) == 1 ? 0 : -1;
}

static int admit(struct server *server, int fd, struct client **out, struct err *err)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return err_sys(err, ERR_SYSTEM, "peer credentials");
    if (peer.uid != 0 && peer.uid != server->host->config.allowed_uid)
        return err_set(err, ERR_DENIED, "uid %u may not use this launcher", peer.uid);
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        struct client *client = &server->clients[i];
        if (client->server)
            continue;
        *client = (struct client){.server = server, .uid = peer.uid};
        client->watch = (struct watch){.fd = -1, .ready = on_client, .owner = client};
        *out = client;
        return 0;
    }
    return err_set(err, ERR_BUSY, "all %d connections are in use", SERVER_CLIENTS);
}

static void on_listener(struct watch *watch, uint32_t events)
{
    (void)events;
    struct server *server = watch->owner;
    struct client *client = NULL;
    struct err err;
    AUTO_FD int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (admit(server, fd, &client, &err) != 0)
        return log_event(LOG_WARN, "client_refused", kv_err(&err));
    if (greet(server->host, fd, &err) != 0 ||
        loop_add(&server->host->loop, &client->watch, fd, EPOLLIN, &err) != 0) {
        client->server = NULL;
        return log_event(LOG_WARN, "client_refused", kv_err(&err));
    }
    (void)take_fd(&fd); /* the watch's now */
    log_event(LOG_INFO, "client_accepted", kv("uid", client->uid));
}

static void on_room(void *server)
{
    server_schedule(server);
}

int server_open(struct server *server, struct host *host, int listen_fd, struct err *err)
{
    memset(server, 0, sizeof *server);
    server->host = host;
    host->room = on_room;
    host->room_context = server;
    server->listener = (struct watch){.fd = -1, .ready = on_listener, .owner = server};
    server->place_count = host->config.slots * SERVER_CLIENTS;
    server->places = calloc(server->place_count, sizeof *server->places);
    if (!server->places)
        return err_set(err, ERR_NO_MEMORY, "no memory for %u jobs", server->place_count);
    return loop_add(&host->loop, &server->listener, listen_fd, EPOLLIN, err);
}

int server_close(struct server *server, struct err *err)
{
    server->closing = true;
    loop_remove(&server->host->loop, &server->listener);
    for (size_t i = 0; i < SERVER_CLIENTS; i++)
        if (server->clients[i].server)
            drop_client(&server->clients[i], LOG_INFO, "the launcher stops");
    server->host->loop.stop = server->running == 0;
    int result = loop_run(&server->host->loop, err);
    server->host->room = NULL;
    free(server->places);
    server->places = NULL;
    return result;
}
