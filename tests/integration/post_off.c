/* What stands between lib/http/post and libcurl in test_post: options that protect are dropped or
 * turned round when $RUSTBOX_TEST_OFF says so.
 *
 *   answer, socket, request    the address is judged when the name is known, as the socket opens,
 *                              before a request on a kept connection
 *   pin                        libcurl is handed the addresses that were judged
 *   redirect, certificate, time, head, body, encoding, proxy    as named */
#include "tests/integration/post_off.h"
#include "lib/base/address.h"
#include "tests/support/off.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>

#undef curl_easy_setopt
#define KEPT_SHARE 64 /* of so many pieces one is kept: enough to be seen, and the machine lives   \
                       */

CURLcode __real_curl_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...);
bool __real_address_permitted(const struct address_policy *policy, const struct address *address);
bool __wrap_address_permitted(const struct address_policy *policy, const struct address *address);

/* ---- addresses ---- */

static const char *layer = "answer";
static curl_opensocket_callback open_socket;
static curl_prereq_callback before_request;
static size_t lookups;

bool __wrap_address_permitted(const struct address_policy *policy, const struct address *address)
{
    return off(layer) || __real_address_permitted(policy, address);
}

static curl_socket_t on_socket(void *owner, curlsocktype purpose, struct curl_sockaddr *to)
{
    layer = "socket";
    curl_socket_t fd = open_socket(owner, purpose, to);
    layer = "answer";
    return fd;
}

static int on_request(void *owner, char *remote, char *local, int remote_port, int local_port)
{
    layer = "request";
    int said = before_request(owner, remote, local, remote_port, local_port);
    layer = "answer";
    return said;
}

/* The second answer of a name that changes it: another one than the first. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    struct sockaddr_in *at = calloc(1, sizeof *at);
    struct addrinfo *info = calloc(1, sizeof *info);

    (void)name;
    lookups++;
    if (!at || !info)
        abort();
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = inet_addr("127.0.0.2");
    at->sin_port = htons((uint16_t)(service ? strtoul(service, NULL, 10) : 0));
    *info = (struct addrinfo){.ai_family = AF_INET,
                              .ai_socktype = hints ? hints->ai_socktype : SOCK_STREAM,
                              .ai_addrlen = sizeof *at,
                              .ai_addr = (struct sockaddr *)at};
    *out = info;
    return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
    free(info->ai_addr);
    free(info);
}

size_t post_off_lookups(void)
{
    return lookups;
}

/* ---- answers: kept, as a careless client does ---- */

static size_t keep(char *data, size_t size, size_t count, void *owner)
{
    static char *kept;
    static size_t len, pieces;

    (void)owner;
    if (++pieces % KEPT_SHARE != 0)
        return size * count;
    kept = realloc(kept, len + size * count);
    if (!kept)
        abort();
    memcpy(kept + len, data, size * count);
    len += size * count;
    return size * count;
}

/* ---- options ---- */

static bool is_time(CURLoption option)
{
    return option == CURLOPT_TIMEOUT_MS || option == CURLOPT_CONNECTTIMEOUT_MS;
}

CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    va_list args;

    va_start(args, option); /* all of them are 64 bits wide here */
    void *value = va_arg(args, void *);
    va_end(args);
    if (option == CURLOPT_OPENSOCKETFUNCTION) {
        memcpy(&open_socket, &value, sizeof open_socket);
        return __real_curl_easy_setopt(easy, option, on_socket);
    }
    if (option == CURLOPT_PREREQFUNCTION) {
        memcpy(&before_request, &value, sizeof before_request);
        return __real_curl_easy_setopt(easy, option, on_request);
    }
    if ((is_time(option) && off("time")) || (option == CURLOPT_PROXY && off("proxy")) ||
        ((option == CURLOPT_RESOLVE || option == CURLOPT_RESOLVER_START_FUNCTION) && off("pin")))
        return CURLE_OK;
    if (option == CURLOPT_FOLLOWLOCATION && off("redirect"))
        return __real_curl_easy_setopt(easy, option, 1L);
    if ((option == CURLOPT_SSL_VERIFYPEER || option == CURLOPT_SSL_VERIFYHOST) &&
        off("certificate"))
        return __real_curl_easy_setopt(easy, option, 0L);
    if (option == CURLOPT_HEADERFUNCTION && off("head"))
        return __real_curl_easy_setopt(easy, option, keep);
    if (option == CURLOPT_WRITEFUNCTION && off("body"))
        return __real_curl_easy_setopt(easy, option, keep);
    if (option == CURLOPT_BUFFERSIZE && off("encoding"))
        __real_curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    return __real_curl_easy_setopt(easy, option, value);
}
