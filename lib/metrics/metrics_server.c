/* A responder for two paths. One epoll descriptor stands for listener and clients, so that a poll
 * loop watches a single descriptor. Bounded: CLIENTS connections, REQUEST_MAX bytes of request,
 * PATIENCE_MS from accept to the last byte; the oldest connection gives way to a new one. */
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/span.h"
#include "lib/metrics/metrics.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CLIENTS 8
#define REQUEST_MAX 2048
#define ANSWER_MAX ((size_t)4 << 20)
#define PATIENCE_MS 5000

struct client {
    int fd; /* -1 = free */
    int64_t since_ms;
    char request[REQUEST_MAX];
    size_t got, sent;
    struct buf answer;
};

struct metrics_server {
    int epoll_fd, listen_fd;
    const char *unhealthy;
    char path[108]; /* of a unix socket: unlinked at close */
    struct client clients[CLIENTS];
};

/* ---- opening ---- */

static int bind_unix(const char *path, struct metrics_server *server, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (span_copy(span_text(path), address.sun_path, sizeof address.sun_path) ||
        span_copy(span_text(path), server->path, sizeof server->path))
        return err_set(err, ERR_CONFIG, "metrics: the socket path %s is longer than 107 bytes",
                       path);
    server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path); /* a socket that a killed process left */
    if (server->listen_fd < 0 ||
        bind(server->listen_fd, (struct sockaddr *)&address, sizeof address))
        return err_sys(err, ERR_CONFIG, "metrics: cannot listen on %s", path);
    return 0;
}

static int bind_tcp(const char *listen_on, struct metrics_server *server, struct err *err)
{
    char host[64];
    const char *colon = strrchr(listen_on, ':');
    struct span name = span_of(listen_on, colon ? (size_t)(colon - listen_on) : 0);
    if (name.len > 2 && *listen_on == '[' && colon[-1] == ']')
        name = span_of(listen_on + 1, name.len - 2);
    if (name.len == 0 || span_copy(name, host, sizeof host))
        return err_set(err, ERR_CONFIG, "metrics: %s is not address:port or unix:/path", listen_on);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &found))
        return err_set(err, ERR_CONFIG, "metrics: %s is not address:port", listen_on);
    int on = 1;
    server->listen_fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool bad = server->listen_fd < 0 ||
               setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
               bind(server->listen_fd, found->ai_addr, found->ai_addrlen);
    int why = errno;
    freeaddrinfo(found);
    errno = why;
    return bad ? err_sys(err, ERR_CONFIG, "metrics: cannot listen on %s", listen_on) : 0;
}

int metrics_server_open(const char *listen_on, struct metrics_server **out, struct err *err)
{
    *out = NULL;
    if (listen_on[0] == '\0' || strcmp(listen_on, "0") == 0)
        return 0;
    struct metrics_server *server = calloc(1, sizeof *server);
    if (!server)
        return err_set(err, ERR_NO_MEMORY, "metrics");
    server->listen_fd = -1;
    for (size_t i = 0; i < CLIENTS; i++) {
        server->clients[i].fd = -1;
        buf_init(&server->clients[i].answer, ANSWER_MAX);
    }
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bool is_unix = strncmp(listen_on, "unix:", 5) == 0;
    int status = is_unix ? bind_unix(listen_on + 5, server, err) : bind_tcp(listen_on, server, err);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = CLIENTS};
    if (status == 0 && (server->epoll_fd < 0 || listen(server->listen_fd, 16) ||
                        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listen_fd, &event)))
        status = err_sys(err, ERR_CONFIG, "metrics: cannot listen on %s", listen_on);
    if (status) {
        server->path[0] = '\0';
        metrics_server_close(server);
        return -1;
    }
    *out = server;
    return 0;
}

/* ---- clients ---- */

static void hang_up(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd); /* leaves epoll too */
    client->fd = -1;
    client->got = client->sent = 0;
    buf_done(&client->answer);
}

void metrics_server_close(struct metrics_server *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < CLIENTS; i++)
        hang_up(&server->clients[i]);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    if (server->path[0])
        unlink(server->path);
    free(server);
}

int metrics_server_fd(const struct metrics_server *server)
{
    return server ? server->epoll_fd : -1;
}

void metrics_server_health(struct metrics_server *server, const char *unhealthy_reason)
{
    if (server)
        server->unhealthy = unhealthy_reason;
}

static void welcome(struct metrics_server *server)
{
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct client *place = &server->clients[0];
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *client = &server->clients[i];
        if (client->fd < 0 || (place->fd >= 0 && client->since_ms < place->since_ms))
            place = client;
    }
    hang_up(place);
    place->fd = fd;
    place->since_ms = clock_mono_ms(&clock_system);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(place - server->clients)};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event))
        hang_up(place);
}

static void answer(struct client *client, const char *status, const char *type, const char *body)
{
    buf_printf(
        &client->answer,
        "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
        status, type, strlen(body));
    buf_puts(&client->answer, body);
}

static bool asks_for(const struct client *client, const char *path)
{
    const char *target = client->request + 4; /* after "GET " */
    size_t len = strlen(path);
    return strncmp(target, path, len) == 0 && (target[len] == ' ' || target[len] == '?');
}

static void compose(const struct metrics_server *server, struct client *client)
{
    if (strncmp(client->request, "GET ", 4) != 0) {
        answer(client, "405 Method Not Allowed", "text/plain", "only GET\n");
    } else if (asks_for(client, "/metrics")) {
        BUF_AUTO struct buf body;
        buf_init(&body, ANSWER_MAX / 2);
        metrics_render(&body);
        answer(client, "200 OK", "text/plain; version=0.0.4; charset=utf-8", buf_text(&body));
    } else if (asks_for(client, "/health")) {
        char body[300];
        snprintf(body, sizeof body, "{\"status\":\"%s\"%s%s%s}\n",
                 server->unhealthy ? "unhealthy" : "ok", server->unhealthy ? ",\"reason\":\"" : "",
                 server->unhealthy ? server->unhealthy : "", server->unhealthy ? "\"" : "");
        answer(client, server->unhealthy ? "503 Service Unavailable" : "200 OK", "application/json",
               body);
    } else {
        answer(client, "404 Not Found", "text/plain", "/metrics or /health\n");
    }
}

static void send_more(struct metrics_server *server, struct client *client)
{
    ssize_t sent = send(client->fd, client->answer.data + client->sent,
                        client->answer.len - client->sent, MSG_NOSIGNAL);
    if (sent > 0)
        client->sent += (size_t)sent;
    bool waits = sent >= 0 || errno == EAGAIN || errno == EINTR;
    if (!waits || client->sent == client->answer.len) {
        hang_up(client);
        return;
    }
    struct epoll_event event = {.events = EPOLLOUT,
                                .data.u64 = (uint64_t)(client - server->clients)};
    epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

static void serve(struct metrics_server *server, struct client *client)
{
    if (client->answer.len == 0) {
        ssize_t got = recv(client->fd, client->request + client->got,
                           sizeof client->request - 1 - client->got, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            hang_up(client);
            return;
        }
        client->got += (size_t)got;
        client->request[client->got] = '\0';
        bool whole = strstr(client->request, "\r\n\r\n") || strstr(client->request, "\n\n");
        bool full = client->got == sizeof client->request - 1;
        if (!whole && !full)
            return;
        if (whole)
            compose(server, client);
        else
            answer(client, "431 Request Header Fields Too Large", "text/plain", "too large\n");
        if (client->answer.failed || client->answer.len == 0) {
            hang_up(client);
            return;
        }
    }
    send_more(server, client);
}

void metrics_server_ready(struct metrics_server *server)
{
    struct epoll_event events[CLIENTS + 1];
    if (!server)
        return;
    int count = epoll_wait(server->epoll_fd, events, CLIENTS + 1, 0);
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 < CLIENTS && server->clients[events[i].data.u64].fd >= 0)
            serve(server, &server->clients[events[i].data.u64]);
    int64_t now = clock_mono_ms(&clock_system);
    for (size_t i = 0; i < CLIENTS; i++)
        if (server->clients[i].fd >= 0 && now - server->clients[i].since_ms > PATIENCE_MS)
            hang_up(&server->clients[i]);
    for (int i = 0; i < count; i++)
        if (events[i].data.u64 == CLIENTS)
            welcome(server);
}
