/* One request of post.h: its URL, its addresses, libcurl's options and hooks, and what its end
 * means. */
#include "lib/base/strict.h"
#include "lib/http/post_impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- hooks ---- */

static bool permitted(const struct poster *poster, const struct sockaddr *to)
{
    struct address address;

    return address_of(to, &address) == 0 && address_permitted(poster->config.policy, &address);
}

/* After the name was resolved, before anything is sent: the last word on where it goes. */
static curl_socket_t open_socket(void *owner, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct post *post = owner;
    int fd;

    if (purpose != CURLSOCKTYPE_IPCXN || !permitted(post->poster, &to->addr)) {
        post->denied = true;
        return CURL_SOCKET_BAD;
    }
    fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    post->poster->connections++;
    post_socket_opened(post->poster, fd);
    return fd;
}

static int close_socket(void *owner, curl_socket_t fd)
{
    struct poster *poster = owner;

    poster->connections--;
    return close(fd);
}

/* Also for a connection that is used again: it may have been opened under other rules. */
static int before_request(void *owner, char *remote, char *local, int remote_port, int local_port)
{
    struct post *post = owner;
    struct address address;

    (void)local, (void)local_port, (void)remote_port;
    if (address_parse(span_text(remote), &address) < 0 ||
        !address_permitted(post->poster->config.policy, &address)) {
        post->denied = true;
        return CURL_PREREQFUNC_ABORT;
    }
    post->requested = true;
    return CURL_PREREQFUNC_OK;
}

/* libcurl has an answer for every name already; that it asks for one means a mistake of ours. */
static int before_resolving(void *resolver, void *reserved, void *owner)
{
    const struct post *post = owner;

    (void)resolver, (void)reserved;
    return post->literal ? 0 : 1;
}

static void take_retry_after(struct post *post, const char *line, size_t len)
{
    static const char name[] = "retry-after:";

    if (len < sizeof name || curl_strnequal(line, name, sizeof name - 1) == 0)
        return;
    line += sizeof name - 1;
    len -= sizeof name - 1;
    while (len > 0 && (*line == ' ' || *line == '\t'))
        line++, len--;
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (span_copy(span_of(line, len), post->retry_after, sizeof post->retry_after) < 0)
        post->retry_after[0] = '\0';
}

static size_t on_head(char *data, size_t size, size_t count, void *owner)
{
    struct post *post = owner;
    size_t len = size * count;
    long status = 0;

    post->head_bytes += len;
    if (!post->head_done && post->head_bytes > HEAD_BYTES_MAX) {
        post->oversized = true;
        return 0;
    }
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
        post->retry_after[0] = '\0'; /* of an interim answer */
    take_retry_after(post, data, len);
    bool blank = (len == 2 && memcmp(data, "\r\n", 2) == 0) || (len == 1 && data[0] == '\n');
    if (!blank || post->head_done)
        return post->head_bytes > 2 * HEAD_BYTES_MAX ? 0 : len; /* trailers count too */
    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200) {
        post->head_done = true;
        post->status = (uint16_t)status;
    }
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *owner)
{
    struct post *post = owner;

    (void)data;
    post->body_bytes += size * count;
    return post->body_bytes > BODY_BYTES_MAX ? 0 : size * count;
}

/* ---- options ---- */

int post_prepare(struct poster *poster, CURL *easy)
{
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(easy, option, value)
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, poster->schemes);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (poster->ca_file[0])
        SET(CURLOPT_CAINFO, poster->ca_file);
    SET(CURLOPT_CAPATH, NULL); /* with it, the file is parsed anew for each connection */
    SET(CURLOPT_CA_CACHE_TIMEOUT, 3600L);
    SET(CURLOPT_USERAGENT, "rustbox/" RUSTBOX_VERSION);
    SET(CURLOPT_BUFFERSIZE, 4096L);
    SET(CURLOPT_MAXAGE_CONN, 55L);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, poster);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_RESOLVER_START_FUNCTION, before_resolving);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_WRITEFUNCTION, on_body);
#undef SET
    return bad == CURLE_OK ? 0 : -1;
}

/* ---- the URL ---- */

static bool port_allowed(const struct poster *poster, const char *text, unsigned *port)
{
    uint64_t number;

    if (span_u64(span_text(text), &number) < 0 || number == 0 || number > 65535)
        return false;
    *port = (unsigned)number;
    return poster->ports[number / 8] & (1U << number % 8);
}

/* Brackets and a dot at the end are no part of a name: libcurl must look it up as it was asked. */
static bool take_host(struct post *post, const char *host)
{
    size_t len = strlen(host);
    struct address address;

    if (len > 2 && host[0] == '[')
        host++, len -= 2;
    bool dot = len > 1 && host[len - 1] == '.';
    len -= dot;
    if (span_copy(span_of(host, len), post->host, sizeof post->host) < 0 || len == 0)
        return false;
    if (dot && curl_url_set(post->url, CURLUPART_HOST, post->host, 0) != CURLUE_OK)
        return false;
    for (char *at = post->host; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    post->literal = address_parse(span_text(post->host), &address) == 0;
    return true;
}

static bool scheme_allowed(const struct poster *poster, const char *scheme)
{
    return strcmp(scheme, "https") == 0 ||
           (strcmp(scheme, "http") == 0 && strncmp(poster->schemes, "http,", 5) == 0);
}

enum post_end post_judge_url(struct post *post, const char *url)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *password = NULL;
    bool good;

    good = curl_url_set(post->url, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
           curl_url_get(post->url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
           curl_url_get(post->url, CURLUPART_HOST, &host, CURLU_PUNYCODE) == CURLUE_OK &&
           curl_url_get(post->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
           scheme_allowed(post->poster, scheme) && port_allowed(post->poster, port, &post->port) &&
           take_host(post, host) &&
           curl_url_get(post->url, CURLUPART_USER, &user, 0) != CURLUE_OK &&
           curl_url_get(post->url, CURLUPART_PASSWORD, &password, 0) != CURLUE_OK;
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    return good ? POST_answered : POST_blocked_url;
}

/* ---- sending ---- */

static bool all_permitted(const struct post *post, const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (!address_permitted(post->poster->config.policy, &answer->addresses[i]))
            return false;
    return true;
}

/* "+host:port:address,address": what libcurl knows of the name from now on. */
static bool set_addresses(struct post *post, const struct dns_answer *answer)
{
    char line[sizeof post->host + DNS_ADDRESSES_MAX * (ADDRESS_TEXT + 3) + 16], text[ADDRESS_TEXT];
    size_t len = (size_t)snprintf(line, sizeof line, "+%s:%u:", post->host, post->port);

    for (size_t i = 0; i < answer->count; i++) {
        address_format(&answer->addresses[i], text);
        len += (size_t)snprintf(line + len, sizeof line - len,
                                answer->addresses[i].len == 16 ? "%s[%s]" : "%s%s", i ? "," : "",
                                text);
    }
    post->resolve = curl_slist_append(NULL, line);
    return post->resolve &&
           curl_easy_setopt(post->easy, CURLOPT_RESOLVE, post->resolve) == CURLE_OK;
}

enum post_end post_send(struct post *post, const struct dns_answer *answer)
{
    const struct post_config *config = &post->poster->config;
    long spent_ms = (long)((config->clock->mono_ns(config->clock) - post->begin_ns) / 1000000);
    CURLcode bad = CURLE_OK;

    if (answer->result != DNS_FOUND)
        return answer->result == DNS_TIMEOUT ? POST_dns_timeout : POST_dns;
    if (!all_permitted(post, answer))
        return POST_blocked_address;
    if (spent_ms >= config->connect_ms)
        return POST_dns_timeout;
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(post->easy, option, value)
    SET(CURLOPT_CURLU, post->url);
    SET(CURLOPT_HTTPHEADER, post->headers);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body.len);
    SET(CURLOPT_POSTFIELDS, post->body.data);
    SET(CURLOPT_CONNECTTIMEOUT_MS, config->connect_ms - spent_ms);
    SET(CURLOPT_TIMEOUT_MS, config->whole_ms - spent_ms);
    SET(CURLOPT_OPENSOCKETDATA, post);
    SET(CURLOPT_PREREQDATA, post);
    SET(CURLOPT_RESOLVER_START_DATA, post);
    SET(CURLOPT_HEADERDATA, post);
    SET(CURLOPT_WRITEDATA, post);
    SET(CURLOPT_PRIVATE, post);
#undef SET
    if (bad != CURLE_OK || (!post->literal && !set_addresses(post, answer)))
        return POST_internal;
    if (curl_multi_add_handle(post->poster->multi, post->easy) != CURLM_OK)
        return POST_internal;
    post->started = true;
    return POST_answered;
}

/* ---- ends ---- */

static enum post_end end_of_connect(CURL *easy)
{
    long number = 0;

    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    return number == ECONNREFUSED ? POST_connect_refused
           : number == ETIMEDOUT  ? POST_connect_timeout
           : number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM
               ? POST_internal
               : POST_connect_failed;
}

static enum post_end end_of(const struct post *post, CURLcode code)
{
    if (post->head_done)
        return POST_answered;
    if (post->denied)
        return POST_blocked_address;
    if (post->oversized)
        return POST_too_large;
    switch ((int)code) { /* libcurl has a hundred codes */
    case CURLE_COULDNT_RESOLVE_HOST:
        return POST_dns;
    case CURLE_COULDNT_CONNECT:
        return end_of_connect(post->easy);
    case CURLE_OPERATION_TIMEDOUT:
        return post->requested ? POST_timeout : POST_connect_timeout;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return POST_tls_certificate;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED:
        return POST_tls;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_NOTFOUND:
        return POST_internal;
    case CURLE_OUT_OF_MEMORY: /* also: a line of the head above libcurl's own bound */
        return post->requested ? POST_too_large : POST_internal;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return post->requested ? POST_closed : POST_tls;
    case CURLE_SEND_ERROR:
        return POST_send_failed;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return post->requested ? POST_protocol : POST_blocked_url;
    case CURLE_OK: /* without a complete head there is no success */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_WRITE_ERROR:
    default:
        return POST_protocol;
    }
}

void post_describe(const struct post *post, CURLcode code, struct post_answer *answer)
{
    const struct clock *clock = post->poster->config.clock;
    const char *address = NULL;
    long port = 0;

    *answer = (struct post_answer){.end = post->refused, .port = (uint16_t)post->port};
    if (post->started) {
        curl_easy_getinfo(post->easy, CURLINFO_PRIMARY_IP, &address);
        curl_easy_getinfo(post->easy, CURLINFO_PRIMARY_PORT, &port);
        answer->end = end_of(post, code);
        if (port > 0)
            answer->port = (uint16_t)port;
    }
    if (address && strlen(address) < sizeof answer->address)
        memcpy(answer->address, address, strlen(address) + 1);
    if (answer->end == POST_answered) {
        answer->status = post->status;
        memcpy(answer->retry_after, post->retry_after, sizeof answer->retry_after);
    }
    answer->latency_us = (clock->mono_ns(clock) - post->begin_ns) / 1000;
}
