/* Connections, request heads and bodies on libmicrohttpd with an external epoll (http.h).
 *
 * Every state of a connection has a deadline of its own: libmicrohttpd's timeout counts inactivity
 * only, so that a client sending one byte now and then would stay for ever. */
#include "producers/gateway/http.h"
#include "lib/base/strict.h"
#include "producers/gateway/http_internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL_BYTES 16384
#define BODY_DROP_MAX_BYTES (1024 * 1024)   /* of a refused request that is still answered */
#define DISCARD_MAX_BYTES (8 * 1024 * 1024) /* after an answer beside libmicrohttpd */

void conn_enter(struct conn *conn, enum conn_state state)
{
    struct http *http = conn->http;
    conn->state = state;
    struct due_queue *queue = state == CONN_IDLE   ? &http->idle_due
                              : state == CONN_HEAD ? &http->head_due
                              : state == CONN_BODY ? &http->body_due
                              : state == CONN_SEND ? &http->send_due
                                                   : NULL;
    if (queue)
        due_arm(http->config.loop, queue, &conn->due);
    else
        due_disarm(&conn->due);
}

static struct conn *conn_of_due(struct due *due)
{
    return (struct conn *)((char *)due - offsetof(struct conn, due));
}

static void on_conn_due(struct due *due)
{
    struct conn *conn = conn_of_due(due);
    shutdown(conn->fd, SHUT_RDWR);
    conn->http->run = true;
}

static void on_body_due(struct due *due)
{
    struct conn *conn = conn_of_due(due);
    if (conn->req && !conn->req->discarding)
        reply_raw(conn->req, API_ERROR_timeout, "the body did not arrive in time");
    shutdown(conn->fd, SHUT_RDWR);
    conn->http->run = true;
}

static void on_client_left(struct watch *watch, unsigned events)
{
    (void)events;
    struct conn *conn = (struct conn *)((char *)watch - offsetof(struct conn, watch));
    if (conn->req && conn->req->parked)
        request_end(conn->req);
    else
        loop_remove(conn->http->config.loop, watch);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = cls;
    struct conn *conn = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn = calloc(1, sizeof(*conn));
        CHECK(conn);
        conn->http = http;
        conn->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        conn->watch = (struct watch){.ready = on_client_left, .fd = -1};
        conn_enter(conn, CONN_HEAD);
        *context = conn;
    } else if (conn) {
        loop_remove(http->config.loop, &conn->watch);
        due_disarm(&conn->due);
        free(conn);
        *context = NULL;
    }
}

static struct conn *conn_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The request line is there: now the head must follow. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    (void)cls;
    struct conn *conn = conn_of(mhd);
    conn->nul_in_target = strstr(uri, "%00") != NULL;
    conn_enter(conn, CONN_HEAD);
    return NULL;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct http *http = cls;
    struct request *req = *context;
    if (!req)
        return;
    CHECK(!req->parked);
    void (*gone)(struct request *) = req->gone;
    req->gone = NULL;
    if (gone) /* ended without an answer and without being parked: only when MHD stops */
        gone(req);
    http->busy--;
    http_drop_body(req);
    reply_drop(req);
    req->conn->req = NULL;
    conn_enter(conn_of(mhd), CONN_IDLE);
    *context = NULL;
    req->next = http->free_requests;
    http->free_requests = req;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    return guard_header(cls, span_of(name, name_len), span_of(value ? value : "", value_len))
               ? MHD_YES
               : MHD_NO;
}

static void name_request(struct request *req)
{
    struct span given = req->head.request_id;
    static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (given.len >= 1 && given.len < sizeof(req->request_id) &&
        span_copy(given, req->request_id, sizeof(req->request_id)) == 0 &&
        strspn(req->request_id, fine) == given.len)
        return;
    struct uuid id = uuid_v7_at(req->received_ns / 1000000, req->http->config.rnd);
    uuid_format(&id, req->request_id);
}

static const struct route *find_route(const struct http *http, const char *url, const char **tail)
{
    for (size_t i = 0; i < http->config.route_count; i++) {
        const struct route *route = &http->config.routes[i];
        size_t len = strlen(route->path);
        if (route->takes_tail ? strncmp(url, route->path, len) == 0 && url[len]
                              : strcmp(url, route->path) == 0) {
            *tail = url + len;
            return route;
        }
    }
    return NULL;
}

static void allow_header(struct request *req)
{
    unsigned methods = req->route->methods;
    http_header(req, "Allow", "%s%s%s%sOPTIONS", methods & METHOD_GET ? "GET, HEAD, " : "",
                methods & METHOD_POST ? "POST, " : "", methods & METHOD_PATCH ? "PATCH, " : "",
                methods & METHOD_DELETE ? "DELETE, " : "");
}

static bool is_json(struct span type)
{
    static const char json[] = "application/json";
    size_t len = sizeof(json) - 1;
    const char *text = type.data;
    return type.len >= len && strncasecmp(text, json, len) == 0 &&
           (type.len == len || text[len] == ';' || text[len] == ' ');
}

static enum method method_of(const char *method, bool *is_head)
{
    *is_head = strcmp(method, "HEAD") == 0;
    if (*is_head || strcmp(method, "GET") == 0)
        return METHOD_GET;
    return strcmp(method, "POST") == 0     ? METHOD_POST
           : strcmp(method, "DELETE") == 0 ? METHOD_DELETE
           : strcmp(method, "PATCH") == 0  ? METHOD_PATCH
                                           : 0;
}

static size_t body_max_of(const struct request *req)
{
    return req->method & (METHOD_POST | METHOD_PATCH) ? req->route->body_max : 0;
}

/* Everything that is judged before the body; answers when it refuses. */
static void judge_head(struct request *req, const char *url, const char *method,
                       const char *version)
{
    guard_finish(&req->head, method, url, version);
    name_request(req);
    if (req->head.status) {
        req->refused = true;
        http_error(
            req, req->head.status == 431 ? API_ERROR_headers_too_large : API_ERROR_invalid_request,
            "%s", req->head.reason);
        return;
    }
    if (traceparent_valid(req->head.traceparent))
        (void)!span_copy(req->head.traceparent, req->traceparent, sizeof(req->traceparent));
    req->route = find_route(req->http, url, &req->tail);
    if (!req->route) {
        http_error(req, API_ERROR_not_found, "no such path");
        return;
    }
    req->method = method_of(method, &req->is_head);
    if (!(req->method & req->route->methods)) {
        allow_header(req);
        if (strcmp(method, "OPTIONS") == 0) {
            struct buf body = {.max = 8};
            buf_puts(&body, "{}");
            http_answer(req, 200, &body);
        } else {
            http_error(req, API_ERROR_method_not_allowed, NULL);
        }
        return;
    }
    if (req->http->config.before(req) != 0)
        return;
    size_t body_max = body_max_of(req);
    bool none = req->route->body_optional && req->head.length == 0 && !req->head.chunked;
    if (req->head.length > body_max && body_max)
        http_error(req, API_ERROR_payload_too_large, "the body is larger than %zu bytes", body_max);
    else if (body_max && !none && req->head.encoded)
        http_error(req, API_ERROR_unsupported_media_type,
                   "send the body as it is, without Content-Encoding");
    else if (body_max && !none && !is_json(req->head.content_type))
        http_error(req, API_ERROR_unsupported_media_type, NULL);
}

static struct request *request_new(struct http *http)
{
    struct request *req = http->free_requests;
    if (req) {
        http->free_requests = req->next;
        memset(req, 0, sizeof(*req));
    } else {
        req = calloc(1, sizeof(*req));
        CHECK(req);
    }
    req->http = http;
    req->owner = http->config.owner;
    http->busy++;
    return req;
}

static enum MHD_Result first_call(struct http *http, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, void **context)
{
    struct request *req = request_new(http);
    *context = req;
    req->mhd = mhd;
    req->conn = conn_of(mhd);
    req->conn->req = req;
    req->received_ns = http->config.clock->wall_ns(http->config.clock);
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, on_header, &req->head);
    req->head.nul_in_target = req->conn->nul_in_target;
    judge_head(req, url, method, version);
    bool has_body = req->head.chunked || req->head.length > 0;
    if (!req->answered) {
        req->body.max = body_max_of(req);
        conn_enter(req->conn, has_body ? CONN_BODY : CONN_WORK);
        return MHD_YES;
    }
    if (!has_body || req->refused)
        return reply_queue(req);
    if (req->head.expects_continue) { /* the client waits for leave to send: refuse now */
        req->refused = true;
        return reply_queue(req);
    }
    if (req->head.length > BODY_DROP_MAX_BYTES) {
        /* It would have to be read to be answered: answer at once beside libmicrohttpd. */
        reply_raw(req, API_ERROR_payload_too_large, NULL);
        return MHD_YES;
    }
    conn_enter(req->conn, CONN_BODY); /* read and dropped, then answered: the connection lives on */
    return MHD_YES;
}

static enum MHD_Result body_call(struct request *req, const char *data, size_t *len)
{
    struct http *http = req->http;
    size_t add = *len;
    *len = 0;
    if (req->discarding || req->answered || req->body.max == 0) {
        req->discarded += add;
        if (req->discarding)
            return req->discarded > DISCARD_MAX_BYTES ? MHD_NO : MHD_YES;
        if (req->discarded > BODY_DROP_MAX_BYTES)
            reply_raw(req, API_ERROR_payload_too_large, NULL);
        return MHD_YES;
    }
    if (req->body.len + add > req->body.max) {
        http_drop_body(req);
        reply_raw(req, API_ERROR_payload_too_large, NULL);
        return MHD_YES;
    }
    size_t before = req->body.cap;
    buf_add(&req->body, data, add);
    http->body_bytes += req->body.cap - before;
    if (req->share)
        req->share->body_bytes += req->body.cap - before;
    bool own = req->share && req->share->body_bytes > http->config.bodies_max_bytes / SHARE_OF;
    if (own || http->body_bytes > http->config.bodies_max_bytes || req->body.failed) {
        http_drop_body(req);
        reply_raw(req, API_ERROR_unavailable,
                  own ? "too many bodies of this project at once; send it again"
                      : "too many bodies at once; send it again");
    }
    return MHD_YES;
}

static enum MHD_Result on_call(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **context)
{
    struct request *req = *context;
    if (!req)
        return first_call(cls, mhd, url, method, version, context);
    if (*upload_len)
        return body_call(req, upload, upload_len);
    if (req->discarding || req->dropped)
        return MHD_NO;
    if (!req->answered) {
        struct http *http = req->http;
        conn_enter(req->conn, CONN_WORK);
        req->route->handle(req);
        if (!req->answered) {
            req->parked = true;
            req->prev = http->parked.prev;
            req->next = &http->parked;
            req->prev->next = req;
            http->parked.prev = req;
            http->parked_count++;
            MHD_suspend_connection(mhd);
            if (req->watched)
                http_watch_client(req);
            return MHD_YES;
        }
    }
    return reply_queue(req);
}

void http_watch_client(struct request *req)
{
    req->watched = true;
    if (req->parked && req->conn->watch.fd < 0)
        (void)!loop_add(req->http->config.loop, &req->conn->watch, req->conn->fd,
                        EPOLLRDHUP | EPOLLHUP | EPOLLERR, NULL);
}

void http_drop_body(struct request *req)
{
    req->http->body_bytes -= req->body.cap;
    if (req->share)
        req->share->body_bytes -= req->body.cap;
    buf_done(&req->body);
}

const char *http_query(struct request *req, const char *name)
{
    const char *value = NULL;
    size_t len;
    if (MHD_lookup_connection_value_n(req->mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
                                      &len) == MHD_NO)
        return NULL;
    return value ? value : "";
}

static void on_ready(struct watch *watch, unsigned events)
{
    (void)events;
    ((struct http *)((char *)watch - offsetof(struct http, watch)))->run = true;
}

static int64_t on_turn(void *owner)
{
    struct http *http = owner;
    MHD_UNSIGNED_LONG_LONG wait;
    if (http->run || (MHD_get_timeout(http->daemon, &wait) == MHD_YES && wait == 0)) {
        http->run = false;
        MHD_run(http->daemon);
    }
    return http->run || (MHD_get_timeout(http->daemon, &wait) == MHD_YES && wait == 0) ? 0 : -1;
}

static int listen_on(const char *listen_at, struct err *err)
{
    char host[64];
    const char *colon = strrchr(listen_at, ':');
    uint64_t port;
    struct sockaddr_in addr = {.sin_family = AF_INET};
    if (!colon || span_u64(span_text(colon + 1), &port) != 0 || port > 65535 ||
        span_copy(span_of(listen_at, (size_t)(colon - listen_at)), host, sizeof(host)) != 0 ||
        inet_pton(AF_INET, host, &addr.sin_addr) != 1)
        return err_set(err, ERR_CONFIG, "gateway.listen: \"%s\" is not IPv4-address:port",
                       listen_at);
    addr.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 1024) != 0) {
        err_sys(err, ERR_CONFIG, "listen on %s (gateway.listen): is another gateway running?",
                listen_at);
        close(fd);
        return -1;
    }
    return fd;
}

int http_open(const struct http_config *config, struct http **out, struct err *err)
{
    struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return err_set(err, ERR_NO_MEMORY, "HTTP server");
    http->config = *config;
    http->parked.prev = http->parked.next = &http->parked;
    http->watch = (struct watch){.ready = on_ready, .fd = -1};
    int fd = listen_on(config->listen, err);
    if (fd < 0) {
        free(http);
        return -1;
    }
    loop_queue(config->loop, &http->idle_due, config->idle_ms, on_conn_due);
    loop_queue(config->loop, &http->head_due, config->head_ms, on_conn_due);
    loop_queue(config->loop, &http->body_due, config->body_ms, on_body_due);
    loop_queue(config->loop, &http->send_due, config->send_ms, on_conn_due);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_call, http,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, config->connections_max, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, http, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!http->daemon) {
        close(fd);
        free(http);
        return err_set(err, ERR_SYSTEM, "libmicrohttpd does not start");
    }
    int epoll_fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (loop_add(config->loop, &http->watch, epoll_fd, EPOLLIN, err) != 0) {
        MHD_stop_daemon(http->daemon);
        free(http);
        return -1;
    }
    loop_each_turn(config->loop, on_turn, http);
    *out = http;
    return 0;
}

uint16_t http_port(const struct http *http)
{
    return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void http_stop_listening(struct http *http)
{
    int fd = MHD_quiesce_daemon(http->daemon);
    if (fd >= 0)
        close(fd);
}

size_t http_busy(const struct http *http)
{
    return http->busy;
}

size_t http_parked(const struct http *http)
{
    return http->parked_count;
}

void http_each_parked(struct http *http, void (*each)(struct request *req))
{
    for (struct request *req = http->parked.next, *next; req != &http->parked; req = next) {
        next = req->next;
        each(req);
    }
}

void http_close(struct http *http)
{
    if (!http)
        return;
    http->closing = true;
    http_each_parked(http, request_end);
    for (int i = 0; i < 3; i++)
        MHD_run(http->daemon);
    loop_remove(http->config.loop, &http->watch);
    MHD_stop_daemon(http->daemon);
    while (http->free_requests) {
        struct request *req = http->free_requests;
        http->free_requests = req->next;
        free(req);
    }
    free(http);
}
