/* Names to addresses without blocking and without threads (c-ares): the hosts file, then DNS.
 *
 * Every answer of a name is given, so that the caller can judge all of them before it connects to
 * one. Names are asked for as they stand: search domains are not tried. Answers are kept for their
 * time to live, at least 1 s and at most 60 s, failures 2 s; equal questions share one query. One
 * event loop; nothing is called back but from dns_turn. */
#pragma once
#include "lib/base/address.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"

#define DNS_ADDRESSES_MAX 16
struct dns_answer {
    enum { DNS_FOUND, DNS_NONE, DNS_TIMEOUT } result; /* none: no such name, or no address */
    size_t count;
    struct address addresses[DNS_ADDRESSES_MAX]; /* a name with more of them is DNS_NONE */
};

struct dns;
struct dns_wait;
typedef void dns_done_fn(void *asker, const struct dns_answer *answer);

/* servers: "address:port,..." instead of the system's; "" = the system's. */
int dns_open(const char *servers, const struct clock *clock, dns_done_fn *done, struct dns **out,
             struct err *err) MUST_CHECK;
void dns_close(struct dns *dns); /* pending questions are forgotten without a call */
/* NULL: *now is the answer (a literal address, or one that is kept). Else done(asker, ...) follows
 * from dns_turn, unless it is cancelled. A host is at most 255 bytes. */
struct dns_wait *dns_ask(struct dns *dns, const char *host, void *asker, struct dns_answer *now);
void dns_cancel(struct dns_wait *wait);
int dns_fd(const struct dns *dns);         /* readable: dns_turn is due */
int64_t dns_due_ms(const struct dns *dns); /* monotonic; INT64_MAX = no timer */
void dns_turn(struct dns *dns);
