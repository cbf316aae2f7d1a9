/* What a request's head must be before anything else looks at it: pure, fed header by header.
 *
 * libmicrohttpd is lenient where proxies in front of it are not, and the difference is request
 * smuggling: it takes Content-Length together with chunked, repeated Content-Length and Host, names
 * with spaces before the colon. The guard refuses all of it: 400 (431 for floods) and the
 * connection is closed. It also keeps the values that the gateway needs, so that headers are walked
 * once. */
#pragma once
#include "lib/base/span.h"

#define HEAD_HEADERS_MAX 64
#define HEAD_BYTES_MAX 6144
#define URL_BYTES_MAX 4096

struct head {
    size_t count, bytes;
    unsigned hosts;
    bool chunked, has_length, expects_continue, closes, wants_problem;
    bool encoded;       /* Content-Encoding, but for identity */
    bool nul_in_target; /* decoded it would end the path or a value before what follows it */
    uint64_t length;    /* Content-Length */
    struct span api_key, authorization, idempotency_key, content_type, request_id, traceparent;
    bool has_idempotency_key;
    int status;         /* 0 = fine so far; 400, 431 */
    const char *reason; /* a literal for the client */
};

/* One header; spans must live as long as the head. Returns false when nothing more matters. */
bool guard_header(struct head *head, struct span name, struct span value);
/* After the last header: request line and combinations. Sets head->status. */
void guard_finish(struct head *head, const char *method, const char *url, const char *version);
