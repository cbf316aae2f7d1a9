/* The HTTP side of the gateway on real sockets: malformed heads, smuggling, floods, half-sent and
 * oversized bodies, slow clients, parked requests and clients that leave. */
#include "producers/gateway/http.h"
#include "tests/component/gateway_client.h"
#include "tests/unit/unit.h"
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static struct http *http;
static struct rnd rnd;
static uint16_t port;
static int handled, left_count;
static struct request *last_parked;

static void handle_echo(struct request *req)
{
    handled++;
    struct buf body = {.max = 100};
    buf_printf(&body, "{\"bytes\":%zu}", req->body.len);
    http_answer(req, 200, &body);
}

static void on_gone(struct request *req)
{
    (void)req;
    left_count++;
}

static void handle_park(struct request *req)
{
    handled++;
    req->gone = on_gone;
    last_parked = req;
    http_watch_client(req);
}

#define LARGE_BYTES ((size_t)16 << 20) /* more than sockets hold */

static void handle_large(struct request *req)
{
    struct buf body = {.max = LARGE_BYTES};
    char *room = buf_reserve(&body, LARGE_BYTES);
    assert_non_null(room);
    memset(room, 'x', LARGE_BYTES);
    buf_grow(&body, LARGE_BYTES);
    http_answer(req, 200, &body);
}

static int before(struct request *req)
{
    static struct http_share shares[2];
    if (!req->route->is_public)
        req->share = &shares[span_is(req->head.api_key, "other")];
    if (req->route->is_public || span_is(req->head.api_key, "good") ||
        span_is(req->head.api_key, "other"))
        return 0;
    http_error(req, API_ERROR_unauthorized, NULL);
    return -1;
}

static const struct route routes[] = {
    {.path = "/echo",
     .methods = METHOD_POST,
     .is_public = true,
     .body_max = 65536,
     .handle = handle_echo},
    {.path = "/get/", .methods = METHOD_GET, .takes_tail = true, .handle = handle_echo},
    {.path = "/private", .methods = METHOD_POST, .body_max = 65536, .handle = handle_echo},
    {.path = "/park", .methods = METHOD_GET, .is_public = true, .handle = handle_park},
    {.path = "/large", .methods = METHOD_GET, .is_public = true, .handle = handle_large},
    {.path = "/own/large", .methods = METHOD_GET, .handle = handle_large},
};

static int setup(void **state)
{
    (void)state;
    struct err err;
    rnd = rnd_system();
    handled = left_count = 0;
    assert_ok(loop_new(&clock_system, &loop, &err), err);
    struct http_config config = {.listen = "127.0.0.1:0",
                                 .routes = routes,
                                 .route_count = COUNT_OF(routes),
                                 .clock = &clock_system,
                                 .rnd = &rnd,
                                 .loop = loop,
                                 .before = before,
                                 .connections_max = 12000,
                                 .bodies_max_bytes = 1024 * 1024,
                                 .answers_max_bytes = 5 * LARGE_BYTES,
                                 .head_ms = 200,
                                 .body_ms = 300,
                                 .idle_ms = 400,
                                 .send_ms = 1000};
    assert_ok(http_open(&config, &http, &err), err);
    port = http_port(http);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_close(http);
    loop_free(loop);
    return 0;
}

#define POST "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

static void test_ordinary(void **state)
{
    (void)state;
    struct raw *raw = raw_open(port);
    for (int i = 0; i < 3; i++) { /* keep-alive */
        static const char text[] = POST "Content-Length: 5\r\n\r\nhello";
        raw_send(raw, text, sizeof(text) - 1);
        assert_int_equal(raw_answer(raw, loop, 2000), 200);
        assert_true(raw_has(raw, "{\"bytes\":5}"));
        assert_true(raw_has(raw, "X-Request-Id: "));
    }
    static const char chunks[] = POST "Transfer-Encoding: chunked\r\nX-Request-Id: my-1\r\n\r\n"
                                      "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    raw_send(raw, chunks, sizeof(chunks) - 1);
    assert_int_equal(raw_answer(raw, loop, 2000), 200);
    assert_true(raw_has(raw, "{\"bytes\":7}"));
    assert_true(raw_has(raw, "X-Request-Id: my-1"));
    raw_close(raw);
}

/* Every row must be refused and its connection closed, and nothing behind it may be handled. */
static void test_smuggling(void **state)
{
    (void)state;
    static const struct {
        const char *what, *text;
    } rows[] = {
        {"CL and TE", POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "0\r\n\r\nGET /get/x HTTP/1.1\r\nHost: a\r\nX-API-Key: good\r\n\r\n"},
        {"TE and CL", POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"},
        {"two CL", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"},
        {"two equal CL", POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
        {"CL list", POST "Content-Length: 5, 5\r\n\r\nhello"},
        {"CL with plus", POST "Content-Length: +5\r\n\r\nhello"},
        {"negative CL", POST "Content-Length: -5\r\n\r\nhello"},
        {"hex CL", POST "Content-Length: 0x5\r\n\r\nhello"},
        {"two Host", POST "Host: b\r\nContent-Length: 5\r\n\r\nhello"},
        {"no Host", "GET /get/x HTTP/1.1\r\n\r\n"},
        {"TE list", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        {"TE identity", POST "Transfer-Encoding: identity\r\n\r\n"},
        {"TE unknown", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
        {"TE twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "0\r\n\r\n"},
        {"TE, name with space", POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
        {"TE in 1.0", "POST /echo HTTP/1.0\r\nContent-Type: application/json\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"version 1.2", "GET /get/x HTTP/1.2\r\nHost: a\r\n\r\n"},
        {"version 2.0", "GET /get/x HTTP/2.0\r\nHost: a\r\n\r\n"},
        {"no version", "GET /get/x\r\n\r\n"},
        {"odd name", POST "Bad(Name): 1\r\nContent-Length: 5\r\n\r\nhello"},
        {"two keys", "GET /get/x HTTP/1.1\r\nHost: a\r\nX-API-Key: good\r\nX-API-Key: b\r\n\r\n"},
        {"absolute target", "GET http://a/get/x HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"NUL in the path", "GET /get/x%00y HTTP/1.1\r\nHost: a\r\nX-API-Key: good\r\n\r\n"},
        {"NUL in the query", "GET /get/x?a=%00 HTTP/1.1\r\nHost: a\r\nX-API-Key: good\r\n\r\n"},
        {"control in value", "GET /get/x HTTP/1.1\r\nHost: a\r\nX-A: a\x01z\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct raw *raw;
        handled = 0;
        int status = raw_once(port, loop, rows[i].text, &raw);
        if (status / 100 == 2 || handled)
            fail_msg("%s: status %d, handled %d", rows[i].what, status, handled);
        if (status != 400 && status != 505 && status != 0)
            fail_msg("%s: status %d", rows[i].what, status);
        if (!raw->closed)
            fail_msg("%s: the connection stays open after %d", rows[i].what, status);
        raw_close(raw);
    }
}

static void test_header_flood(void **state)
{
    (void)state;
    static char text[24000];
    size_t len = (size_t)snprintf(text, sizeof(text), "GET /get/x HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 80; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "X-%d: 1\r\n", i);
    snprintf(text + len, sizeof(text) - len, "\r\n");
    struct raw *raw;
    assert_int_equal(raw_once(port, loop, text, &raw), 431);
    assert_true(raw_has(raw, "headers_too_large"));
    assert_true(raw->closed);
    raw_close(raw);
    len = (size_t)snprintf(text, sizeof(text), "GET /get/x HTTP/1.1\r\nHost: a\r\nX-A: ");
    memset(text + len, 'a', 12000);
    snprintf(text + len + 12000, sizeof(text) - len - 12000, "\r\n\r\n");
    assert_int_equal(raw_once(port, loop, text, &raw), 431);
    assert_true(raw_has(raw, "headers_too_large"));
    assert_true(raw->closed);
    raw_close(raw);
    memset(text + len, 'a', 19000);
    snprintf(text + len + 19000, sizeof(text) - len - 19000, "\r\n\r\n");
    int status = raw_once(port, loop, text, &raw);
    assert_true(status == 431 || status == 413); /* libmicrohttpd's own pool is full first */
    assert_true(raw->closed);
    raw_close(raw);
    len = (size_t)snprintf(text, sizeof(text), "GET /get/");
    memset(text + len, 'a', 5000);
    snprintf(text + len + 5000, sizeof(text) - len - 5000, " HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(raw_once(port, loop, text, &raw), 431);
    assert_true(raw_has(raw, "headers_too_large"));
    assert_int_equal(handled, 0);
    raw_close(raw);
}

static void test_errors_are_json(void **state)
{
    (void)state;
    struct raw *raw;
    assert_int_equal(raw_once(port, loop, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", &raw), 404);
    assert_true(
        raw_has(raw, "{\"error\":\"not_found\",\"message\":\"no such path\",\"request_id\":\""));
    raw_close(raw);
    assert_int_equal(raw_once(port, loop, "PUT /echo HTTP/1.1\r\nHost: a\r\n\r\n", &raw), 405);
    assert_true(raw_has(raw, "Allow: POST, OPTIONS"));
    raw_close(raw);
    assert_int_equal(raw_once(port, loop, "OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n", &raw), 200);
    assert_true(raw_has(raw, "Allow: POST, OPTIONS"));
    raw_close(raw);
    assert_int_equal(raw_once(port, loop, "GET /get/x HTTP/1.1\r\nHost: a\r\n\r\n", NULL), 401);
    assert_int_equal(
        raw_once(port, loop, "HEAD /get/x HTTP/1.1\r\nHost: a\r\nX-API-Key: good\r\n\r\n", NULL),
        200);
    assert_int_equal(raw_once(port, loop,
                              "GET /no HTTP/1.1\r\nHost: a\r\nAccept: application/problem+json\r\n"
                              "\r\n",
                              &raw),
                     404);
    assert_true(raw_has(raw, "Content-Type: application/problem+json"));
    assert_true(raw_has(raw, "\"status\":404"));
    raw_close(raw);
    assert_int_equal(raw_once(port, loop,
                              "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
                              "Content-Length: 2\r\n\r\n{}",
                              NULL),
                     415);
}

/* A refused small body is read, then answered: the connection can be used again. */
static void test_refused_body_keeps_connection(void **state)
{
    (void)state;
    static const char text[] =
        "POST /private HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    struct raw *raw = raw_open(port);
    for (int i = 0; i < 3; i++) {
        raw_send(raw, text, sizeof(text) - 1);
        assert_int_equal(raw_answer(raw, loop, 2000), 401);
    }
    assert_int_equal(handled, 0);
    raw_close(raw);
}

static void test_large_bodies(void **state)
{
    (void)state;
    struct raw *raw;
    /* by Content-Length: at once, without the body */
    assert_int_equal(raw_once(port, loop, POST "Content-Length: 99999999\r\n\r\n", &raw), 413);
    assert_true(raw_has(raw, "payload_too_large"));
    raw_close(raw);
    assert_int_equal(
        raw_once(port, loop, POST "Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n", NULL),
        413);
    /* chunked: when it is passed */
    raw = raw_open(port);
    raw_send(raw, POST "Transfer-Encoding: chunked\r\n\r\n",
             strlen(POST "Transfer-Encoding: chunked\r\n\r\n"));
    static char chunk[8 + 8192 + 2];
    memcpy(chunk, "002000\r\n", 8);
    memset(chunk + 8, 'x', 8192);
    memcpy(chunk + 8 + 8192, "\r\n", 2);
    for (int i = 0; i < 12; i++) {
        raw_send(raw, chunk, sizeof(chunk));
        raw_turn(loop, 2);
    }
    assert_int_equal(raw_answer(raw, loop, 2000), 413);
    assert_int_equal(handled, 0);
    raw_close(raw);
}

static void test_slow_clients(void **state)
{
    (void)state;
    /* a body that stops */
    struct raw *raw = raw_open(port);
    static const char half[] = POST "Content-Length: 50\r\n\r\nhalf";
    raw_send(raw, half, sizeof(half) - 1);
    assert_int_equal(raw_answer(raw, loop, 2000), 408);
    assert_true(raw_has(raw, "the body did not arrive in time"));
    raw_close(raw);
    /* a body that drips: each byte resets an inactivity timer, but not this deadline */
    raw = raw_open(port);
    raw_send(raw, half, sizeof(half) - 1);
    int64_t start = clock_mono_ms(&clock_system);
    int status = 0;
    while (!status && clock_mono_ms(&clock_system) - start < 2000) {
        (void)!send(raw->fd, "x", 1, MSG_NOSIGNAL);
        status = raw_answer(raw, loop, 50);
    }
    assert_int_equal(status, 408);
    assert_true(clock_mono_ms(&clock_system) - start < 1000);
    raw_close(raw);
    /* a head that drips */
    raw = raw_open(port);
    start = clock_mono_ms(&clock_system);
    raw_send(raw, "GET /get/x HTTP/1.1\r\nX: ", 24);
    while (!raw->closed && clock_mono_ms(&clock_system) - start < 2000) {
        (void)!send(raw->fd, "x", 1, MSG_NOSIGNAL);
        raw_answer(raw, loop, 20);
    }
    assert_true(raw->closed);
    raw_close(raw);
    /* silence */
    raw = raw_open(port);
    assert_int_equal(raw_answer(raw, loop, 2000), 0);
    assert_true(raw->closed);
    raw_close(raw);
}

static void test_client_leaves(void **state)
{
    (void)state;
    struct raw *raw = raw_open(port);
    static const char text[] = "GET /park HTTP/1.1\r\nHost: a\r\n\r\n";
    raw_send(raw, text, sizeof(text) - 1);
    raw_turn(loop, 30);
    assert_int_equal(http_parked(http), 1);
    raw_close(raw);
    raw_turn(loop, 50);
    assert_int_equal(left_count, 1);
    assert_int_equal(http_parked(http), 0);
    assert_int_equal(http_busy(http), 0);
    /* one that stays is answered later */
    raw = raw_open(port);
    raw_send(raw, text, sizeof(text) - 1);
    raw_turn(loop, 30);
    struct buf body = {.max = 100};
    buf_puts(&body, "{}");
    http_answer(last_parked, 200, &body);
    assert_int_equal(raw_answer(raw, loop, 1000), 200);
    assert_int_equal(left_count, 1);
    raw_close(raw);
}

static long resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Clients that ask for large answers and do not read them hold a bounded memory; small answers pass
 * all the while, and room comes back when their time is over. */
static void test_large_answers_unread(void **state)
{
    (void)state;
    static const char text[] = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    struct raw *slow[5], *raw;
    for (int i = 0; i < 5; i++) {
        slow[i] = raw_open(port);
        raw_send(slow[i], text, sizeof(text) - 1);
        raw_turn(loop, 50);
    }
    assert_int_equal(raw_once(port, loop, text, &raw), 503);
    assert_true(raw_has(raw, "Retry-After: 1") && raw_has(raw, "large answers"));
    raw_close(raw);
    assert_int_equal(raw_once(port, loop, POST "Content-Length: 2\r\n\r\n{}", NULL), 200);
    raw_close(slow[0]); /* one leaves */
    raw_turn(loop, 100);
    char got[13] = "";
    slow[0] = raw_open(port);
    raw_send(slow[0], text, sizeof(text) - 1);
    raw_turn(loop, 50);
    assert_int_equal(recv(slow[0]->fd, got, 12, 0), 12);
    assert_string_equal(got, "HTTP/1.1 200");
    assert_int_equal(raw_once(port, loop, text, NULL), 503);
    raw_turn(loop, 1300); /* all are ended by their deadline */
    raw_close(slow[0]);
    slow[0] = raw_open(port);
    raw_send(slow[0], text, sizeof(text) - 1);
    raw_turn(loop, 50);
    assert_int_equal(recv(slow[0]->fd, got, 12, 0), 12);
    assert_string_equal(got, "HTTP/1.1 200");
    for (int i = 0; i < 5; i++)
        raw_close(slow[i]);
}

#define OWN(key) "GET /own/large HTTP/1.1\r\nHost: a\r\nX-API-Key: " key "\r\n\r\n"
#define UPLOAD(key)                                                                                \
    "POST /private HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: " key       \
    "\r\nContent-Length: "

/* One sender's unread answers and unfinished bodies take a quarter: the others go on. */
static void test_shares(void **state)
{
    (void)state;
    struct raw *slow[8], *raw = raw_open(port);
    raw_send(raw, OWN("good"), sizeof(OWN("good")) - 1);
    raw_turn(loop, 50);
    assert_int_equal(raw_once(port, loop, OWN("good"), NULL), 503);
    slow[0] = raw_open(port);
    raw_send(slow[0], OWN("other"), sizeof(OWN("other")) - 1);
    raw_turn(loop, 50);
    char got[13] = "";
    assert_int_equal(recv(slow[0]->fd, got, 12, 0), 12);
    assert_string_equal(got, "HTTP/1.1 200");
    raw_close(slow[0]);
    raw_close(raw);

    static const char head[] = UPLOAD("good") "65000\r\n\r\n";
    static char part[64000];
    memset(part, ' ', sizeof(part));
    int refused = 0;
    for (int i = 0; i < 8; i++) {
        slow[i] = raw_open(port);
        raw_send(slow[i], head, sizeof(head) - 1);
        raw_send(slow[i], part, sizeof(part));
        raw_turn(loop, 5);
    }
    assert_int_equal(raw_once(port, loop, UPLOAD("other") "2\r\n\r\n{}", NULL), 200);
    for (int i = 0; i < 8; i++) {
        ssize_t len = recv(slow[i]->fd, got, 12, MSG_DONTWAIT);
        refused += len == 12 && strcmp(got, "HTTP/1.1 503") == 0;
        raw_close(slow[i]);
    }
    assert_in_range(refused, 3, 5); /* 256 KiB of the MiB: four, or a little less */
    raw_turn(loop, 50);
    assert_int_equal(raw_once(port, loop, UPLOAD("good") "2\r\n\r\n{}", NULL), 200);
}

/* 10,000 parked requests: memory is bounded, and all are answered or released. */
static bool answer_in_turn;

static int64_t answering_turn(void *owner)
{
    (void)owner;
    if (answer_in_turn && last_parked) {
        struct buf body = {.max = 8};
        struct request *req = last_parked;
        last_parked = NULL;
        buf_puts(&body, "{}");
        http_answer(req, 200, &body);
    }
    return -1;
}

/* Whoever answers in a turn function that runs after the server's: the next turn must not sleep. */
static void test_answer_wakes(void **state)
{
    (void)state;
    struct err err;
    static const char text[] = "GET /park HTTP/1.1\r\nHost: a\r\n\r\n";
    loop_each_turn(loop, answering_turn, NULL);
    answer_in_turn = false;
    last_parked = NULL;
    struct raw *raw = raw_open(port);
    raw_send(raw, text, sizeof(text) - 1);
    for (int i = 0; i < 500 && http_parked(http) == 0; i++)
        raw_turn(loop, 10);
    assert_int_equal(http_parked(http), 1);
    answer_in_turn = true;
    assert_ok(loop_turn(loop, 0, &err), err); /* answers, after the server had its turn */
    int64_t begin_ms = clock_mono_ms(&clock_system);
    assert_ok(loop_turn(loop, 30000, &err),
              err); /* the client sends nothing: only the wake ends it */
    assert_true(clock_mono_ms(&clock_system) - begin_ms < 20000);
    assert_int_equal(raw_answer(raw, loop, 2000), 200);
    raw_close(raw);
}

static void test_many_parked(void **state)
{
    (void)state;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    enum { WANTED = 10000 };
    int count = limit.rlim_cur > 2 * WANTED + 100 ? WANTED : (int)(limit.rlim_cur - 100) / 2;
    int *fds = calloc((size_t)count, sizeof(*fds));
    assert_non_null(fds);
    long before_bytes = resident_bytes();
    static const char text[] = "GET /park HTTP/1.1\r\nHost: a\r\n\r\n";
    for (int i = 0; i < count; i++) {
        struct raw *raw = raw_open(port);
        raw_send(raw, text, sizeof(text) - 1);
        fds[i] = raw->fd;
        free(raw);
        while (i % 100 == 0 && http_parked(http) + 200 < (size_t)i)
            raw_turn(loop, 0);
    }
    for (int i = 0; i < 200 && http_parked(http) < (size_t)count; i++)
        raw_turn(loop, 10);
    assert_int_equal(http_parked(http), count);
    long each = (resident_bytes() - before_bytes) / count;
    print_message("%d parked requests, %ld bytes each\n", count, each);
#ifndef __SANITIZE_ADDRESS__
    assert_true(each < 20000);
#endif
    for (int i = 0; i < count; i++)
        close(fds[i]);
    for (int i = 0; i < 300 && http_busy(http) > 0; i++)
        raw_turn(loop, 10);
    assert_int_equal(http_parked(http), 0);
    assert_int_equal(left_count, count);
    free(fds);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_ordinary),
        TEST(test_smuggling),
        TEST(test_header_flood),
        TEST(test_errors_are_json),
        TEST(test_refused_body_keeps_connection),
        TEST(test_large_bodies),
        TEST(test_slow_clients),
        TEST(test_client_leaves),
        TEST(test_answer_wakes),
        TEST(test_large_answers_unread),
        TEST(test_shares),
        TEST(test_many_parked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
