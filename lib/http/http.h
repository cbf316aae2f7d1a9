/* HTTP client for tools: one request at a time, blocking. The only place besides the webhook sender
 * that calls libcurl. http and https only, no redirects, no proxy or credentials from the
 * environment. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"

struct http;
struct http_request {
    const char *method, *url;
    const char *const *headers; /* "Name: value"; NULL-terminated, may be NULL */
    struct span body;           /* data NULL: none */
    int timeout_ms;             /* whole request */
};
struct http_answer {
    int status;
    int retry_after_s; /* Retry-After in seconds; 0 = none */
    struct buf body;   /* the caller sets body.max; body.failed: the answer was larger */
};

int http_open(struct http **out, struct err *err) MUST_CHECK; /* keeps its connection alive */
void http_close(struct http *http);                           /* NULL is fine */
/* 0 with any status; ERR_BUSY: no answer (refused, reset, timed out), the message says which. */
int http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
              struct err *err) MUST_CHECK;
