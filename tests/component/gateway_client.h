/* Raw sockets against a server in the same thread: the test sends bytes, then turns the server's
 * loop until the answer is there. No HTTP library, so that malformed requests can be sent. */
#pragma once
#include "producers/gateway/loop.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct raw {
    int fd;
    bool closed; /* by the server */
    size_t len;
    char text[32768];
};

struct raw *raw_open(uint16_t port);
void raw_close(struct raw *raw);
void raw_send(struct raw *raw, const char *text, size_t len); /* blocking is a test failure */
void raw_turn(struct loop *loop, int ms);                     /* turns for that long */
/* Turns until a whole answer (or a close) was read; returns the status, 0 on close without one. */
int raw_answer(struct raw *raw, struct loop *loop, int max_ms);
/* One request on a fresh connection; *closed says whether the server closed afterwards. */
int raw_once(uint16_t port, struct loop *loop, const char *text, struct raw **keep);
bool raw_has(const struct raw *raw, const char *text);
