/* What post.c (the loop) and post_send.c (one request) share. */
#pragma once
#include "lib/dns/dns.h"
#include "lib/http/post.h"
#include <curl/curl.h>

#define HEAD_BYTES_MAX (32 * 1024) /* of an answer, all interim ones included */
#define BODY_BYTES_MAX (64 * 1024) /* then the connection is closed */

struct post {
    struct poster *poster;
    void *owner;
    struct span body;
    CURL *easy;
    CURLU *url;
    struct curl_slist *headers, *resolve;
    struct dns_wait *wait;
    char host[256];
    unsigned port;
    bool literal, started;             /* libcurl has it */
    bool denied, requested, oversized; /* requested: the connection stands */
    bool head_done;
    uint16_t status;
    size_t head_bytes, body_bytes;
    int64_t begin_ns;
    enum post_end refused; /* of one that never started; POST_answered = not refused */
    char retry_after[POST_RETRY_AFTER];
    struct post *next, *previous; /* the list it is in: resolving, refused or free */
    struct post *all;
};

struct post_list {
    struct post *first, *last;
};

struct post_socket { /* EPOLLIN, EPOLLOUT */
    uint32_t watched, wanted;
};

struct poster {
    struct post_config config;
    char schemes[32], ca_file[512];
    uint8_t ports[65536 / 8];
    post_done_fn *done;
    void *owner;
    CURLM *multi;
    struct dns *dns;
    int epoll_fd;
    int64_t timer_ms;                    /* libcurl's; INT64_MAX = none */
    struct post_list resolving, refused; /* resolving: the oldest first */
    struct post *free, *all;
    size_t connections;
    struct post_socket *sockets; /* by descriptor */
    size_t socket_count;
};

void post_list_add(struct post_list *list, struct post *post);
void post_list_remove(struct post_list *list, struct post *post);
/* A new one, of which epoll knows nothing yet. */
void post_socket_opened(struct poster *poster, int fd);
/* Options that hold for every request. */
int post_prepare(struct poster *poster, CURL *easy) MUST_CHECK;
/* Judges the URL: POST_answered = good, host and port set. */
enum post_end post_judge_url(struct post *post, const char *url);
/* Judges the addresses and gives the request to libcurl; POST_answered = under way. */
enum post_end post_send(struct post *post, const struct dns_answer *answer);
void post_describe(const struct post *post, CURLcode code, struct post_answer *answer);
