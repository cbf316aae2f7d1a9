/* c-ares on an epoll descriptor of its own, with a small cache (dns.h). */
#include "lib/dns/dns.h"
#include "lib/base/strict.h"
#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HOST_MAX 256
#define BUCKETS 1024
#define NAMES_MAX 8192 /* kept; above, those nobody waits for go */
#define TRY_MS 1200    /* the first of two tries with each server */
#define TRIES 2
#define KEEP_MIN_S 1
#define KEEP_MAX_S 60
#define KEEP_FAILURE_MS 2000
#define EVENTS 32

struct dns_wait {
    struct name *name;
    void *asker;
    struct dns_wait *next;
};

struct name {
    struct dns *dns;
    char host[HOST_MAX];
    bool asking;
    int64_t keep_ms; /* until then the answer counts */
    struct dns_answer answer;
    struct dns_wait *waits;
    struct name *next, *next_done;
};

struct dns {
    ares_channel channel;
    const struct clock *clock;
    dns_done_fn *done;
    int epoll_fd;
    struct name *buckets[BUCKETS];
    size_t names, asking;
    struct name *answered; /* their waits are called from dns_turn */
    bool closing, telling;
};

/* ---- c-ares ---- */

static void on_socket(void *owner, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = owner;
    struct epoll_event event = {.events = (readable ? (uint32_t)EPOLLIN : 0) |
                                          (writable ? (uint32_t)EPOLLOUT : 0),
                                .data.fd = fd};

    if (!event.events)
        epoll_ctl(dns->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(dns->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno == EEXIST)
        epoll_ctl(dns->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

static int64_t take_addresses(const struct ares_addrinfo *found, struct dns_answer *answer)
{
    int ttl_s = KEEP_MAX_S;

    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next) {
        if (answer->count == DNS_ADDRESSES_MAX) {
            answer->count = 0;
            break;
        }
        if (address_of(node->ai_addr, &answer->addresses[answer->count]) == 0)
            answer->count++;
        if (node->ai_ttl < ttl_s)
            ttl_s = node->ai_ttl;
    }
    answer->result = answer->count ? DNS_FOUND : DNS_NONE;
    return INT64_C(1000) * (ttl_s < KEEP_MIN_S ? KEEP_MIN_S : ttl_s);
}

static void on_answer(void *owner, int status, int timeouts, struct ares_addrinfo *found)
{
    struct name *name = owner;
    struct dns *dns = name->dns;
    int64_t keep_ms = KEEP_FAILURE_MS;

    (void)timeouts;
    if (!dns->closing) {
        name->answer = (struct dns_answer){
            .result =
                status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED ? DNS_TIMEOUT : DNS_NONE};
        if (status == ARES_SUCCESS)
            keep_ms = take_addresses(found, &name->answer);
        name->keep_ms = clock_mono_ms(dns->clock) + keep_ms;
        name->asking = false;
        dns->asking--;
        name->next_done = dns->answered;
        dns->answered = name;
    }
    ares_freeaddrinfo(found);
}

int dns_open(const char *servers, const struct clock *clock, dns_done_fn *done, struct dns **out,
             struct err *err)
{
    struct dns *dns = calloc(1, sizeof *dns);
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_EDNS,
                                   .timeout = TRY_MS,
                                   .tries = TRIES,
                                   .sock_state_cb = on_socket,
                                   .sock_state_cb_data = dns};
    int status;

    CHECK(dns != NULL);
    dns->clock = clock;
    dns->done = done;
    dns->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (dns->epoll_fd < 0) {
        free(dns);
        return err_sys(err, ERR_SYSTEM, "resolver: epoll");
    }
    status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&dns->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       ARES_OPT_SOCK_STATE_CB);
    if (status == ARES_SUCCESS && servers[0])
        status = ares_set_servers_ports_csv(dns->channel, servers);
    if (status != ARES_SUCCESS) {
        err_set(err, ERR_CONFIG, "the resolver does not start with name servers '%s': %s", servers,
                ares_strerror(status));
        dns_close(dns);
        return -1;
    }
    *out = dns;
    return 0;
}

/* ---- names ---- */

static size_t bucket_of(const char *host)
{
    uint32_t hash = 2166136261U;

    for (; *host; host++)
        hash = (hash ^ (uint8_t)*host) * 16777619U;
    return hash % BUCKETS;
}

static void free_waits(struct name *name)
{
    while (name->waits) {
        struct dns_wait *wait = name->waits;
        name->waits = wait->next;
        free(wait);
    }
}

/* Names whose answer nobody waits for and, unless `all`, is too old. */
static void forget(struct dns *dns, bool all)
{
    int64_t now_ms = clock_mono_ms(dns->clock);

    for (size_t b = 0; b < BUCKETS; b++)
        for (struct name **at = &dns->buckets[b]; *at;) {
            struct name *name = *at;
            if (name->asking || name->waits || (!all && name->keep_ms > now_ms)) {
                at = &name->next;
                continue;
            }
            *at = name->next;
            dns->names--;
            free(name);
        }
}

static struct name *name_of(struct dns *dns, const char *host)
{
    struct name **bucket = &dns->buckets[bucket_of(host)], *name = *bucket;

    while (name && strcmp(name->host, host) != 0)
        name = name->next;
    if (name)
        return name;
    if (dns->names >= NAMES_MAX && !dns->answered && !dns->telling) {
        forget(dns, false);
        if (dns->names >= NAMES_MAX)
            forget(dns, true);
    }
    name = calloc(1, sizeof *name);
    CHECK(name != NULL);
    name->dns = dns;
    name->keep_ms = INT64_MIN;
    memcpy(name->host, host, strlen(host));
    name->next = *bucket;
    *bucket = name;
    dns->names++;
    return name;
}

struct dns_wait *dns_ask(struct dns *dns, const char *host, void *asker, struct dns_answer *now)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct dns_wait *wait;
    struct name *name;

    *now = (struct dns_answer){.result = DNS_NONE};
    if (address_parse(span_text(host), &now->addresses[0]) == 0) {
        now->result = DNS_FOUND;
        now->count = 1;
        return NULL;
    }
    if (host[0] == '\0' || strlen(host) >= HOST_MAX)
        return NULL;
    name = name_of(dns, host);
    if (!name->asking && name->keep_ms > clock_mono_ms(dns->clock)) {
        *now = name->answer;
        return NULL;
    }
    wait = malloc(sizeof *wait);
    CHECK(wait != NULL);
    *wait = (struct dns_wait){name, asker, name->waits};
    name->waits = wait;
    if (!name->asking) {
        name->asking = true;
        dns->asking++;
        ares_getaddrinfo(dns->channel, host, NULL, &hints, on_answer, name);
    }
    return wait;
}

void dns_cancel(struct dns_wait *wait)
{
    struct dns_wait **at = &wait->name->waits;

    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    free(wait);
}

/* ---- the loop ---- */

int dns_fd(const struct dns *dns)
{
    return dns->epoll_fd;
}

int64_t dns_due_ms(const struct dns *dns)
{
    struct timeval longest = {3600, 0}, left;

    if (dns->answered)
        return clock_mono_ms(dns->clock);
    if (dns->asking == 0 || !ares_timeout(dns->channel, &longest, &left))
        return INT64_MAX;
    return clock_mono_ms(dns->clock) + left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
}

/* A callback may ask again: it then gets the kept answer. */
static void tell(struct dns *dns)
{
    dns->telling = true;
    while (dns->answered) {
        struct name *name = dns->answered;
        dns->answered = name->next_done;
        while (name->waits) {
            struct dns_wait *wait = name->waits;
            name->waits = wait->next;
            dns->done(wait->asker, &name->answer);
            free(wait);
        }
    }
    dns->telling = false;
}

void dns_turn(struct dns *dns)
{
    struct epoll_event events[EVENTS];
    int count = dns->asking ? epoll_wait(dns->epoll_fd, events, EVENTS, 0) : 0;

    for (int i = 0; i < count; i++) {
        bool broken = events[i].events & (EPOLLERR | EPOLLHUP);
        ares_process_fd(dns->channel,
                        broken || events[i].events & EPOLLIN ? events[i].data.fd : ARES_SOCKET_BAD,
                        events[i].events & EPOLLOUT ? events[i].data.fd : ARES_SOCKET_BAD);
    }
    if (dns->asking)
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its timers */
    tell(dns);
}

void dns_close(struct dns *dns)
{
    if (!dns)
        return;
    dns->closing = true;
    if (dns->channel)
        ares_destroy(dns->channel);
    ares_library_cleanup();
    for (size_t b = 0; b < BUCKETS; b++)
        while (dns->buckets[b]) {
            struct name *name = dns->buckets[b];
            dns->buckets[b] = name->next;
            free_waits(name);
            free(name);
        }
    close(dns->epoll_fd);
    free(dns);
}
