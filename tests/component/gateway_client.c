/* See gateway_client.h. */
#include "tests/component/gateway_client.h"
#include "tests/unit/unit.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct raw *raw_open(uint16_t port)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    assert_non_null(raw);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(raw->fd >= 0);
    if (connect(raw->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        fail_msg("connect to port %u: %s", port, strerror(errno));
    fcntl(raw->fd, F_SETFL, O_NONBLOCK);
    return raw;
}

void raw_close(struct raw *raw)
{
    if (raw) {
        close(raw->fd);
        free(raw);
    }
}

void raw_send(struct raw *raw, const char *text, size_t len)
{
    ssize_t sent = send(raw->fd, text, len, MSG_NOSIGNAL);
    if (sent != (ssize_t)len && !raw->closed)
        fail_msg("sent %zd of %zu: %s", sent, len, strerror(errno));
}

void raw_turn(struct loop *loop, int ms)
{
    struct err err;
    int64_t end = clock_mono_ms(&clock_system) + ms;
    do
        assert_ok(loop_turn(loop, 1, &err), err);
    while (clock_mono_ms(&clock_system) < end);
}

static bool whole(const struct raw *raw)
{
    const char *end = strstr(raw->text, "\r\n\r\n");
    if (!end)
        return false;
    const char *length = strstr(raw->text, "Content-Length: ");
    size_t want = length && length < end ? (size_t)strtoul(length + 16, NULL, 10) : 0;
    return raw->len >= (size_t)(end + 4 - raw->text) + want;
}

int raw_answer(struct raw *raw, struct loop *loop, int max_ms)
{
    int64_t end = clock_mono_ms(&clock_system) + max_ms;
    raw->len = 0;
    raw->text[0] = 0;
    while (!whole(raw) && !raw->closed && clock_mono_ms(&clock_system) < end) {
        raw_turn(loop, 0);
        ssize_t got = recv(raw->fd, raw->text + raw->len, sizeof(raw->text) - 1 - raw->len, 0);
        if (got > 0)
            raw->len += (size_t)got;
        else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            raw->closed = true;
        raw->text[raw->len] = 0;
    }
    return strncmp(raw->text, "HTTP/1.", 7) == 0 ? (int)strtol(raw->text + 9, NULL, 10) : 0;
}

int raw_once(uint16_t port, struct loop *loop, const char *text, struct raw **keep)
{
    struct raw *raw = raw_open(port);
    raw_send(raw, text, strlen(text));
    int status = raw_answer(raw, loop, 3000);
    if (keep) {
        char byte;
        for (int i = 0; i < 20 && !raw->closed; i++) {
            raw_turn(loop, 1);
            raw->closed = recv(raw->fd, &byte, 1, 0) == 0;
        }
        *keep = raw;
    } else {
        raw_close(raw);
    }
    return status;
}

bool raw_has(const struct raw *raw, const char *text)
{
    return strstr(raw->text, text) != NULL;
}
