/* The loop of post.h: libcurl's sockets and timer on epoll, names that are being resolved, requests
 * that end. */
#include "lib/base/strict.h"
#include "lib/http/post_impl.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS 128
#define FILES_BESIDES 256 /* what the process has open besides connections */

static const char *const names[POST_END_COUNT] = {
#define POST_END(name, text) [POST_##name] = #name,
#include "lib/http/post.def"
#undef POST_END
};

const char *post_end_name(enum post_end end)
{
    CHECK((unsigned)end < POST_END_COUNT);
    return names[end];
}

void post_list_add(struct post_list *list, struct post *post)
{
    post->next = NULL;
    post->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = post;
    list->last = post;
}

void post_list_remove(struct post_list *list, struct post *post)
{
    *(post->previous ? &post->previous->next : &list->first) = post->next;
    *(post->next ? &post->next->previous : &list->last) = post->previous;
    post->next = post->previous = NULL;
}

/* ---- one request's life ---- */

static struct post *take_post(struct poster *poster)
{
    struct post *post = poster->free;

    if (post) {
        poster->free = post->next;
        post->next = NULL;
        return post;
    }
    post = calloc(1, sizeof *post);
    CHECK(post != NULL);
    post->poster = poster;
    post->easy = curl_easy_init();
    post->url = curl_url();
    CHECK(post->easy && post->url && post_prepare(poster, post->easy) == 0);
    post->all = poster->all;
    poster->all = post;
    return post;
}

/* Lists are freed after the handle has forgotten them. */
static void put_post(struct post *post)
{
    struct poster *poster = post->poster;

    if (post->started)
        curl_multi_remove_handle(poster->multi, post->easy);
    curl_easy_setopt(post->easy, CURLOPT_RESOLVE, NULL);
    curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(post->easy, CURLOPT_CURLU, NULL);
    curl_slist_free_all(post->headers);
    curl_slist_free_all(post->resolve);
    *post = (struct post){.poster = poster,
                          .easy = post->easy,
                          .url = post->url,
                          .all = post->all,
                          .next = poster->free};
    poster->free = post;
}

static void finish(struct post *post, CURLcode code)
{
    struct poster *poster = post->poster;
    struct post_answer answer;
    void *owner = post->owner;

    post_describe(post, code, &answer);
    put_post(post);
    poster->done(poster->owner, owner, &answer);
}

/* Its end is told by the next post_turn, never inside post_start. */
static void refuse(struct post *post, enum post_end why)
{
    post->refused = why;
    post_list_add(&post->poster->refused, post);
}

static void proceed(struct post *post, const struct dns_answer *answer)
{
    enum post_end end = post_send(post, answer);

    if (end != POST_answered)
        refuse(post, end);
}

static void on_resolved(void *asker, const struct dns_answer *answer)
{
    struct post *post = asker;

    post->wait = NULL;
    post_list_remove(&post->poster->resolving, post);
    proceed(post, answer);
}

struct post *post_start(struct poster *poster, const struct post_request *request)
{
    struct post *post = take_post(poster);
    struct dns_answer answer;
    enum post_end end;

    post->owner = request->owner;
    post->body = request->body;
    post->begin_ns = poster->config.clock->mono_ns(poster->config.clock);
    for (size_t i = 0; request->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(post->headers, request->headers[i]);
        CHECK(longer != NULL);
        post->headers = longer;
    }
    end = post_judge_url(post, request->url);
    if (end != POST_answered) {
        refuse(post, end);
        return post;
    }
    post->wait = dns_ask(poster->dns, post->host, post, &answer);
    if (post->wait)
        post_list_add(&poster->resolving, post);
    else
        proceed(post, &answer);
    return post;
}

void post_cancel(struct post *post)
{
    if (post->wait) {
        dns_cancel(post->wait);
        post_list_remove(&post->poster->resolving, post);
    } else if (!post->started)
        post_list_remove(&post->poster->refused, post);
    put_post(post);
}

/* ---- libcurl's sockets and timer ---- */

void post_socket_opened(struct poster *poster, int fd)
{
    size_t count = poster->socket_count ? poster->socket_count : 256;

    while (count <= (size_t)fd)
        count *= 2;
    if (count != poster->socket_count) {
        poster->sockets = realloc(poster->sockets, count * sizeof *poster->sockets);
        CHECK(poster->sockets != NULL);
        memset(poster->sockets + poster->socket_count, 0,
               (count - poster->socket_count) * sizeof *poster->sockets);
        poster->socket_count = count;
    }
    poster->sockets[fd] = (struct post_socket){.watched = 0};
}

/* A connection that nobody uses stays watched as it was: the next request wants the same of it,
 * and that was three system calls for each. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *socket_owner)
{
    struct poster *poster = owner;
    struct epoll_event event = {.data.fd = fd};

    (void)easy, (void)socket_owner;
    if ((size_t)fd >= poster->socket_count)
        post_socket_opened(poster, fd); /* by the library itself */
    struct post_socket *of = &poster->sockets[fd];
    of->wanted = what == CURL_POLL_REMOVE ? 0
                                          : (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                                                (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (of->wanted == 0 || of->wanted == of->watched)
        return 0;
    event.events = of->wanted;
    epoll_ctl(poster->epoll_fd, of->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    of->watched = of->wanted;
    return 0;
}

/* Of one that nobody uses: the receiver closed it, or says what nobody asked for. */
static void watch_no_longer(struct poster *poster, int fd)
{
    epoll_ctl(poster->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    poster->sockets[fd].watched = 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *owner)
{
    struct poster *poster = owner;

    (void)multi;
    poster->timer_ms =
        timeout_ms < 0 ? INT64_MAX : clock_mono_ms(poster->config.clock) + timeout_ms;
    return 0;
}

static void take_ends(struct poster *poster)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(poster->multi, &left))) {
        CURLcode code = message->data.result;
        char *post = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &post);
        finish((struct post *)(void *)post, code);
    }
}

static void give_up_resolving(struct poster *poster)
{
    struct post *post;
    int64_t before_ns = poster->config.clock->mono_ns(poster->config.clock) -
                        INT64_C(1000000) * poster->config.connect_ms;

    while ((post = poster->resolving.first) && post->begin_ns <= before_ns) {
        dns_cancel(post->wait);
        post->wait = NULL;
        post_list_remove(&poster->resolving, post);
        refuse(post, POST_dns_timeout);
    }
}

void post_turn(struct poster *poster)
{
    struct epoll_event events[EVENTS];
    int running, count = epoll_wait(poster->epoll_fd, events, EVENTS, 0);

    for (int i = 0; i < count; i++) {
        int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        int fd = events[i].data.fd;
        if (fd == dns_fd(poster->dns))
            continue;
        if (poster->sockets[fd].wanted == 0)
            watch_no_longer(poster, fd);
        else
            curl_multi_socket_action(poster->multi, fd, what, &running);
    }
    dns_turn(poster->dns);
    give_up_resolving(poster);
    if (poster->timer_ms <= clock_mono_ms(poster->config.clock)) {
        poster->timer_ms = INT64_MAX;
        curl_multi_socket_action(poster->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    take_ends(poster);
    for (struct post *post; (post = poster->refused.first);) {
        post_list_remove(&poster->refused, post);
        finish(post, CURLE_OK);
    }
}

int post_fd(const struct poster *poster)
{
    return poster->epoll_fd;
}

int64_t post_due_ms(const struct poster *poster)
{
    int64_t due_ms = dns_due_ms(poster->dns);

    if (poster->refused.first)
        return 0;
    if (poster->timer_ms < due_ms)
        due_ms = poster->timer_ms;
    if (poster->resolving.first) {
        int64_t late_ms =
            poster->resolving.first->begin_ns / 1000000 + poster->config.connect_ms + 1;
        due_ms = late_ms < due_ms ? late_ms : due_ms;
    }
    return due_ms;
}

size_t post_open_connections(const struct poster *poster)
{
    return poster->connections;
}

/* ---- start and end ---- */

static int parse_ports(struct poster *poster, const char *text, struct err *err)
{
    if (strcmp(text, "any") == 0) {
        memset(poster->ports, 0xff, sizeof poster->ports);
        return 0;
    }
    for (const char *at = text; *at;) {
        size_t skip = strspn(at, ", "), len = strcspn(at + skip, ", ");
        uint64_t port;
        if (len > 0 && (span_u64(span_of(at + skip, len), &port) < 0 || port < 1 || port > 65535))
            return err_set(err, ERR_CONFIG,
                           "'%.20s' is no list of ports: write any, or numbers from 1 to 65535 "
                           "with commas between them",
                           text);
        if (len > 0)
            poster->ports[port / 8] |= (uint8_t)(1U << port % 8);
        at += skip + len;
    }
    return 0;
}

static int parse_schemes(struct poster *poster, const char *text, struct err *err)
{
    static const char *const both[] = {"http,https", "http, https", "https,http", "https, http"};
    bool two = false;

    for (size_t i = 0; i < COUNT_OF(both); i++)
        two |= strcmp(text, both[i]) == 0;
    if (!two && strcmp(text, "https") != 0)
        return err_set(err, ERR_CONFIG, "schemes are https, or http,https: not '%.20s'", text);
    memcpy(poster->schemes, two ? "http,https" : "https", two ? 11 : 6);
    return 0;
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int check_file_limit(size_t most, struct err *err)
{
    struct rlimit limit;

    raise_file_limit();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 2 * most + FILES_BESIDES)
        return err_set(
            err, ERR_CONFIG,
            "%zu connections need a limit of %zu open files, it is %llu: raise it (chpst "
            "-o, LimitNOFILE) or lower the number of deliveries",
            most, 2 * most + FILES_BESIDES, (unsigned long long)limit.rlim_cur);
    return 0;
}

static int open_multi(struct poster *poster, struct err *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = dns_fd(poster->dns)};
    CURLMcode bad = CURLM_OK;

    poster->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poster->epoll_fd < 0 ||
        epoll_ctl(poster->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
        return err_sys(err, ERR_SYSTEM, "webhook sender: epoll");
    poster->multi = curl_multi_init();
    if (!poster->multi)
        return err_set(err, ERR_NO_MEMORY, "libcurl could not be started");
#define SET(option, value) bad = bad ? bad : curl_multi_setopt(poster->multi, option, value)
    SET(CURLMOPT_SOCKETFUNCTION, on_socket);
    SET(CURLMOPT_SOCKETDATA, poster);
    SET(CURLMOPT_TIMERFUNCTION, on_timer);
    SET(CURLMOPT_TIMERDATA, poster);
    SET(CURLMOPT_MAXCONNECTS, (long)poster->config.most);
    SET(CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
#undef SET
    return bad == CURLM_OK ? 0 : err_set(err, ERR_BUG, "libcurl: %s", curl_multi_strerror(bad));
}

int post_open(const struct post_config *config, post_done_fn *done, void *owner,
              struct poster **out, struct err *err)
{
    struct poster *poster = calloc(1, sizeof *poster);

    CHECK(poster != NULL);
    poster->config = *config;
    poster->done = done;
    poster->owner = owner;
    poster->epoll_fd = -1;
    poster->timer_ms = INT64_MAX;
    signal(SIGPIPE, SIG_IGN);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        err_set(err, ERR_NO_MEMORY, "libcurl could not be started");
    else if (span_copy(span_text(config->ca_file), poster->ca_file, sizeof poster->ca_file) < 0)
        err_set(err, ERR_CONFIG, "the path of the CA file is too long");
    else if (poster->ca_file[0] && access(poster->ca_file, R_OK) < 0)
        err_sys(err, ERR_CONFIG, "CA file %s", poster->ca_file);
    else if (parse_schemes(poster, config->schemes, err) == 0 &&
             parse_ports(poster, config->ports, err) == 0 &&
             check_file_limit(config->most, err) == 0 &&
             dns_open(config->dns_servers, config->clock, on_resolved, &poster->dns, err) == 0 &&
             open_multi(poster, err) == 0) {
        *out = poster;
        return 0;
    }
    post_close(poster);
    return -1;
}

void post_close(struct poster *poster)
{
    if (!poster)
        return;
    dns_close(poster->dns);
    while (poster->all) {
        struct post *post = poster->all;
        poster->all = post->all;
        if (post->started)
            curl_multi_remove_handle(poster->multi, post->easy);
        curl_easy_cleanup(post->easy);
        curl_url_cleanup(post->url);
        curl_slist_free_all(post->headers);
        curl_slist_free_all(post->resolve);
        free(post);
    }
    if (poster->multi)
        curl_multi_cleanup(poster->multi);
    if (poster->epoll_fd >= 0)
        close(poster->epoll_fd);
    free(poster->sockets);
    free(poster);
}
