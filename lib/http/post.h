/* Many POSTs at once over kept-alive connections (libcurl's multi interface on epoll), to URLs that
 * strangers have chosen.
 *
 * The names are resolved here (lib/dns), all their addresses judged by the policy, and libcurl is
 * handed those addresses alone; it is asked again as each socket opens and before each request on a
 * kept connection. Redirects, proxies, netrc and credentials do not exist. Certificates are
 * verified. What a receiver answers is counted and thrown away, but for the status and Retry-After.
 * Once the head of an answer is complete, its status is the result, whatever its body does. SIGPIPE
 * is ignored in the whole process from post_open on, and the limit of open files raised to what is
 * allowed. One event loop; done is called from post_turn alone. */
#pragma once
#include "lib/base/address.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/span.h"

enum post_end {
#define POST_END(name, text) POST_##name,
#include "lib/http/post.def"
#undef POST_END
    POST_END_COUNT
};

struct post_config {
    const struct clock *clock;
    const struct address_policy *policy;
    const char *schemes;     /* "https", or "http,https" */
    const char *ports;       /* "443,8443", or "any" */
    const char *ca_file;     /* "" = the system's */
    const char *dns_servers; /* "" = the system's */
    int connect_ms;          /* name, connection and handshake */
    int whole_ms;            /* all of it */
    size_t most;             /* idle connections that are kept; about the most in flight */
};

struct post_request {
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated; copied */
    struct span body;           /* must stay until done or cancel */
    void *owner;
};

#define POST_RETRY_AFTER 64
struct post_answer {
    enum post_end end;
    uint16_t status;            /* POST_answered: 100 to 999 */
    char address[ADDRESS_TEXT]; /* the peer; "" = none was reached */
    uint16_t port;
    int64_t latency_us;                 /* from post_start */
    char retry_after[POST_RETRY_AFTER]; /* as sent; "" = none, or too long */
};

struct poster;
struct post;
/* owner: of the poster; request_owner: of the request. May start others. */
typedef void post_done_fn(void *owner, void *request_owner, const struct post_answer *answer);

/* ERR_CONFIG names the setting that is wrong. */
int post_open(const struct post_config *config, post_done_fn *done, void *owner,
              struct poster **out, struct err *err) MUST_CHECK;
void post_close(struct poster *poster); /* pending ones are forgotten without a call */
/* The end always comes through done, also for a URL that is refused. */
struct post *post_start(struct poster *poster, const struct post_request *request);
void post_cancel(struct post *post); /* done is not called; the connection is closed */
int post_fd(const struct poster *poster);
int64_t post_due_ms(const struct poster *poster); /* monotonic; INT64_MAX = no timer */
void post_turn(struct poster *poster);
size_t post_open_connections(const struct poster *poster); /* for metrics and tests */
const char *post_end_name(enum post_end end);
