/* What http.c (connections, bodies) and http_reply.c (answers) share; nobody else includes it. */
#pragma once
#include "producers/gateway/http.h"
#include <microhttpd.h>

enum conn_state { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_WORK, CONN_SEND };

/* One TCP connection. The deadline of its present state is the only one armed. */
struct conn {
    struct http *http;
    int fd;
    enum conn_state state;
    struct due due;
    struct watch watch; /* EPOLLRDHUP while its request is parked and watched */
    struct request *req;
    bool nul_in_target; /* of the request whose line came last */
};

#define SHARE_OF 4 /* struct http_share */

struct http {
    struct http_config config;
    struct MHD_Daemon *daemon;
    struct watch watch;
    struct due_queue idle_due, head_due, body_due, send_due;
    struct request parked; /* list head */
    struct request *free_requests;
    size_t busy, parked_count, body_bytes, answer_bytes;
    bool run; /* MHD has work without an event: a resumed connection */
    bool closing;
};

void conn_enter(struct conn *conn, enum conn_state state);
enum MHD_Result reply_queue(struct request *req); /* http_reply.c */
void reply_drop(struct request *req);             /* an answer that nobody will get */
/* Bypasses MHD in mid-body; message NULL = the error's own. */
void reply_raw(struct request *req, enum api_error error, const char *message);
void request_end(struct request *req);
