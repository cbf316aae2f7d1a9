/* HTTP server side: connections, deadlines, requests, answers. The only place that calls
 * libmicrohttpd. What a path means is in the route table that it is given.
 *
 * Life of a request: head complete (guard, route, `before`), body streamed under a hard bound,
 * route->handle once. handle either answers at once, or keeps the pointer and answers later: the
 * request is then parked until http_answer. A client that leaves meanwhile is noticed on its
 * descriptor: `gone` is called (forget the pointer), then the request ends. Everything a handler
 * borrows from a request lives until it answers or is told that it is gone. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/rnd.h"
#include "producers/gateway/guard.h"
#include "producers/gateway/loop.h"
#include "schemas/envelope.h"
#include "schemas/errors.h"

struct http;
struct request;
struct project;

enum method { METHOD_GET = 1, METHOD_POST = 2, METHOD_DELETE = 4, METHOD_PATCH = 8 };

struct route {
    const char *path; /* "/api/result/" + id when it ends in '/' and takes_tail */
    unsigned methods; /* enum method bits; HEAD goes with GET */
    bool takes_tail;
    bool is_public;     /* needs no key */
    bool is_submit;     /* rate-limited, needs a JSON body */
    size_t body_max;    /* of POST and PATCH; 0 = no body wanted (one is read and dropped) */
    bool body_optional; /* none at all is fine */
    void (*handle)(struct request *req);
};

/* What one sender holds of the bounds on bodies and large answers: a quarter of each at the most,
 * so that nobody takes them away from the others. */
struct http_share {
    size_t body_bytes, answer_bytes;
};

struct request {
    struct http *http;
    void *owner; /* of the server: http_config.owner */
    const struct route *route;
    enum method method;
    const char *tail; /* the path after the route's */
    struct head head;
    struct project *project;  /* set by `before` */
    void *key;                /* the key it came with, set by `before` */
    struct http_share *share; /* its sender's, set by `before`; lives as long as the server */
    char request_id[65];
    char traceparent[TRACEPARENT_TEXT];
    struct buf body;
    int64_t received_ns; /* wall clock when the head was complete */
    /* the handler's */
    void *task;
    void (*gone)(struct request *req); /* client left or server stops: forget req, do not answer */
    /* the server's */
    struct MHD_Connection *mhd;
    struct conn *conn;
    struct request *prev, *next; /* parked requests */
    bool parked, watched, answered, dropped, discarding, refused, is_head;
    uint64_t discarded;
    int status;
    struct buf out;
    const char *content_type;
    size_t extra_count;
    struct {
        const char *name;
        char value[96];
    } extra[4];
    size_t answer_bytes; /* of a large answer, until libmicrohttpd has it */
};

struct http_config {
    const char *listen; /* address:port; port 0 picks one */
    const struct route *routes;
    size_t route_count;
    const struct clock *clock;
    struct rnd *rnd;
    struct loop *loop;
    void *owner;
    /* Judges a request before its body: 0, or -1 after http_error. Order: key, then rate. */
    int (*before)(struct request *req);
    unsigned connections_max;
    size_t bodies_max_bytes;  /* of all requests together */
    size_t answers_max_bytes; /* of all large answers that wait for their clients to read */
    int64_t head_ms, body_ms, idle_ms, send_ms;
};

int http_open(const struct http_config *config, struct http **out, struct err *err) MUST_CHECK;
uint16_t http_port(const struct http *http);
void http_stop_listening(struct http *http);
size_t http_busy(const struct http *http);   /* requests between head and last byte */
size_t http_parked(const struct http *http); /* of these, waiting for an answer */
/* Every parked request's handler is told to end it (gateway stops). */
void http_each_parked(struct http *http, void (*each)(struct request *req));
void http_close(struct http *http); /* parked requests are dropped */

/* Ends the request: takes over body (buf is zeroed). Content type JSON unless set before. 503
 * instead when http_has_room says no. */
void http_answer(struct request *req, int status, struct buf *body);
/* False: clients that do not read hold so many large answers that this one must be refused. */
bool http_has_room(const struct request *req, size_t bytes);
void http_error(struct request *req, enum api_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For the next answer; name is a literal. */
void http_header(struct request *req, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Query argument, NULL when absent; NUL-terminated, valid while the request lives. */
const char *http_query(struct request *req, const char *name);
/* Watch the client of this parked request: call it for waits that may last. */
void http_watch_client(struct request *req);
/* The body is no longer needed: a parked request should not hold it. */
void http_drop_body(struct request *req);
