/* Answers: bodies of errors (plain JSON and RFC 9457), headers, and the two ways out: a response
 * of libmicrohttpd, or raw bytes where it can no longer or not yet answer. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/metrics/metrics.h"
#include "producers/gateway/http_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ERROR_BODY_MAX 4096
#define ANSWER_SMALL_BYTES 65536 /* up to here answers are not counted: errors always have room */

static const char *reason_text(int status)
{
    return status == 408 ? "Request Timeout" : status == 413 ? "Content Too Large" : "Error";
}

static void error_body(struct request *req, enum api_error error, struct span message,
                       struct buf *out)
{
    BUF_AUTO struct buf clean = {.max = ERROR_BODY_MAX};
    utf8_scrub(message, &clean);
    if (req->head.wants_problem) {
        req->content_type = "application/problem+json";
        buf_puts(out, "{\"type\":\"urn:rustbox:error:");
        buf_puts(out, api_error_code(error));
        buf_printf(out, "\",\"title\":\"%s\",\"status\":%d,\"detail\":", api_error_code(error),
                   api_error_status(error));
        json_quote(buf_span(&clean), out);
        buf_printf(out, ",\"error\":\"%s\",\"message\":", api_error_code(error));
    } else {
        buf_printf(out, "{\"error\":\"%s\",\"message\":", api_error_code(error));
    }
    json_quote(buf_span(&clean), out);
    buf_puts(out, ",\"request_id\":");
    json_quote(span_text(req->request_id), out);
    buf_puts(out, "}");
}

void http_error(struct request *req, enum api_error error, const char *format, ...)
{
    BUF_AUTO struct buf message = {.max = ERROR_BODY_MAX};
    if (format) {
        char text[600];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        buf_puts(&message, text);
    } else {
        buf_puts(&message, api_error_message(error));
    }
    struct buf body = {.max = 4 * ERROR_BODY_MAX};
    error_body(req, error, buf_span(&message), &body);
    http_answer(req, api_error_status(error), &body);
}

void http_header(struct request *req, const char *name, const char *format, ...)
{
    if (req->extra_count == sizeof(req->extra) / sizeof(req->extra[0]))
        return;
    va_list args;
    va_start(args, format);
    req->extra[req->extra_count].name = name;
    vsnprintf(req->extra[req->extra_count].value, sizeof(req->extra[0].value), format, args);
    va_end(args);
    req->extra_count++;
}

static void park_leave(struct request *req)
{
    req->prev->next = req->next;
    req->next->prev = req->prev;
    req->prev = req->next = NULL;
    req->parked = false;
    req->http->parked_count--;
    loop_remove(req->http->config.loop, &req->conn->watch);
    MHD_resume_connection(req->mhd);
    req->http->run = true;
    loop_wake(req->http->config.loop);
}

bool http_has_room(const struct request *req, size_t bytes)
{
    size_t most = req->http->config.answers_max_bytes;
    return bytes <= ANSWER_SMALL_BYTES ||
           (req->http->answer_bytes + bytes <= most &&
            (!req->share || req->share->answer_bytes + bytes <= most / SHARE_OF));
}

static void count_bytes(struct http *http, struct http_share *share, size_t add, size_t take)
{
    http->answer_bytes += add - take;
    if (share)
        share->answer_bytes += add - take;
}

void http_answer(struct request *req, int status, struct buf *body)
{
    if (!http_has_room(req, body->len)) {
        buf_done(body);
        http_header(req, "Retry-After", "1");
        http_error(req, API_ERROR_unavailable,
                   "too many large answers wait for clients that do not read them; ask again");
        return;
    }
    if (body->len > ANSWER_SMALL_BYTES) {
        req->answer_bytes = body->len;
        count_bytes(req->http, req->share, body->len, 0);
    }
    req->answered = true;
    req->gone = NULL;
    req->status = status;
    req->out = *body;
    *body = (struct buf){0};
    if (req->parked)
        park_leave(req);
}

/* The request of a client that left, or of a server that closes. */
void request_end(struct request *req)
{
    void (*gone)(struct request *) = req->gone;
    req->gone = NULL;
    req->dropped = true;
    if (gone)
        gone(req);
    if (req->parked)
        park_leave(req);
}

static void count_answer(const struct request *req, int status)
{
    char label[METRIC_LABEL_TEXT];
    snprintf(label, sizeof(label), "%.40s %d", req->route ? req->route->path : "none", status);
    metric_add(METRIC_http_requests_total, label, 1);
}

void reply_drop(struct request *req)
{
    count_bytes(req->http, req->share, 0, req->answer_bytes);
    req->answer_bytes = 0;
    buf_done(&req->out);
}

/* A large answer in libmicrohttpd's hands, until the client has read it or is gone. */
struct large {
    struct http *http;
    struct http_share *share;
    struct buf body;
};

static void on_large_sent(void *cls)
{
    struct large *large = cls;
    count_bytes(large->http, large->share, 0, large->body.len);
    buf_done(&large->body);
    free(large);
}

static struct MHD_Response *response_of(struct request *req)
{
    struct MHD_Response *response;
    if (req->answer_bytes > 0) {
        struct large *large = malloc(sizeof(*large));
        CHECK(large);
        *large = (struct large){req->http, req->share, req->out};
        response = MHD_create_response_from_buffer_with_free_callback_cls(
            req->out.len, req->out.data, on_large_sent, large);
        if (!response)
            free(large);
    } else {
        response = MHD_create_response_from_buffer(req->out.len, req->out.data,
                                                   req->out.data ? MHD_RESPMEM_MUST_FREE
                                                                 : MHD_RESPMEM_PERSISTENT);
    }
    if (!response)
        return NULL;
    req->out = (struct buf){0}; /* MHD's now */
    req->answer_bytes = 0;
    return response;
}

enum MHD_Result reply_queue(struct request *req)
{
    count_answer(req, req->status);
    struct MHD_Response *response = response_of(req);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type",
                            req->content_type ? req->content_type : "application/json");
    MHD_add_response_header(response, "X-Request-Id", req->request_id);
    for (size_t i = 0; i < req->extra_count; i++)
        MHD_add_response_header(response, req->extra[i].name, req->extra[i].value);
    if (req->refused)
        MHD_add_response_header(response, "Connection", "close");
    conn_enter(req->conn, CONN_SEND);
    enum MHD_Result result = MHD_queue_response(req->mhd, (unsigned)req->status, response);
    MHD_destroy_response(response);
    return result;
}

/* While a body still arrives libmicrohttpd cannot answer. Nothing was sent on this connection for
 * this request, so the answer goes out directly; then our side is shut, the rest is read and
 * dropped for a moment (an immediate close would reset the connection before the client has read
 * it). */
void reply_raw(struct request *req, enum api_error error, const char *message)
{
    struct buf body = {.max = 4 * ERROR_BODY_MAX}, all = {.max = 8 * ERROR_BODY_MAX};
    error_body(req, error, span_text(message ? message : api_error_message(error)), &body);
    int status = api_error_status(error);
    count_answer(req, status);
    buf_printf(&all,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Request-Id: %s\r\n"
               "Connection: close\r\n\r\n",
               status, reason_text(status),
               req->content_type ? req->content_type : "application/json", body.len,
               req->request_id);
    buf_add(&all, body.data, body.len);
    if (!all.failed)
        (void)!send(req->conn->fd, all.data, all.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(req->conn->fd, SHUT_WR);
    buf_done(&body);
    buf_done(&all);
    http_drop_body(req);
    reply_drop(req);
    req->answered = false;
    req->discarding = true;
    conn_enter(req->conn, CONN_HEAD);
}
