/* lib/http/post against tests/support/receiver.py: what each misbehaviour of a receiver is called,
 * that no answer makes memory grow, and that no name leads to a denied address. */
#include "lib/http/post.h"
#include "tests/integration/post_off.h"
#include "tests/support/receiver.h"
#include "tests/unit/unit.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 800
#define WHOLE_MS 1500

static struct receiver receiver;
static struct err err;
static struct address_policy loopback;
static struct poster *poster;
static struct post_answer last;
static size_t ended;

static void on_done(void *owner, void *request_owner, const struct post_answer *answer)
{
    assert_ptr_equal(owner, &receiver);
    last = *answer;
    ended++;
    if (request_owner)
        *(struct post_answer *)request_owner = *answer;
}

static struct post_config config(void)
{
    return (struct post_config){.clock = &clock_system,
                                .policy = &loopback,
                                .schemes = "http,https",
                                .ports = "any",
                                .ca_file = receiver.ca_file,
                                .dns_servers = receiver.dns,
                                .connect_ms = CONNECT_MS,
                                .whole_ms = WHOLE_MS,
                                .most = 200};
}

static void open_with(const struct post_config *settings)
{
    post_close(poster);
    poster = NULL;
    assert_ok(post_open(settings, on_done, &receiver, &poster, &err), err);
}

static struct post *begin(const char *url, void *owner)
{
    static const char *const headers[] = {"Content-Type: application/json", "webhook-id: test",
                                          NULL};
    struct post_request request = {url, headers, SPAN_LIT("{\"type\":\"test\"}"), owner};

    return post_start(poster, &request);
}

static void turn(void)
{
    struct pollfd wait = {post_fd(poster), POLLIN, 0};
    int64_t left = post_due_ms(poster) - clock_mono_ms(&clock_system);

    poll(&wait, 1, left < 0 ? 0 : left > 50 ? 50 : (int)left);
    post_turn(poster);
}

static const struct post_answer *fetch(const char *format, int port)
{
    char url[4096];
    size_t before_this = ended;
    int64_t give_up_ms = clock_mono_ms(&clock_system) + 10000;

    const char *hole = strstr(format, "%d");
    if (hole)
        snprintf(url, sizeof url, "%.*s%d%s", (int)(hole - format), format, port, hole + 2);
    else
        snprintf(url, sizeof url, "%s", format);
    begin(url, NULL);
    while (ended == before_this) {
        turn();
        if (clock_mono_ms(&clock_system) > give_up_ms)
            fail_msg("%s never ends", url);
    }
    return &last;
}

static void expect(const char *format, int port, enum post_end end, unsigned status)
{
    const struct post_answer *answer = fetch(format, port);

    if (answer->end != end || answer->status != status)
        fail_msg("%s: %s, status %u", format, post_end_name(answer->end), answer->status);
}

static int before(void **state)
{
    struct post_config settings = config();

    (void)state;
    open_with(&settings);
    return 0;
}

static int after(void **state)
{
    (void)state;
    post_close(poster);
    poster = NULL;
    return 0;
}

/* ---- good receivers ---- */

static void a_connection_is_verified_and_used_again(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        expect("https://localhost:%d/ok", receiver.https, POST_answered, 200);
    assert_int_equal(post_open_connections(poster), 1);
    assert_string_equal(last.address, "127.0.0.1");
    assert_int_equal(last.port, receiver.https);
    assert_true(last.latency_us > 0);
    expect("https://good.good.test:%d/ok", receiver.https, POST_answered, 200);
    expect("https://127.0.0.1:%d/ok", receiver.https, POST_answered, 200);
    expect("http://LOCALHOST.:%d/ok", receiver.http, POST_answered, 200);
    expect("http://0x7f.1:%d/ok", receiver.http, POST_answered, 200);
}

static void many_at_once(void **state)
{
    static struct post_answer answers[200];
    char url[128];
    size_t before_this = ended;

    (void)state;
    memset(answers, 0, sizeof answers);
    snprintf(url, sizeof url, "https://localhost:%d/slow/100", receiver.https);
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        begin(url, &answers[i]);
    for (int i = 0; i < 2000 && ended < before_this + COUNT_OF(answers); i++)
        turn();
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        if (answers[i].status != 200 && answers[i].end != POST_connect_timeout) /* a slow machine */
            fail_msg("%zu: %s", i, post_end_name(answers[i].end));
}

static void statuses_and_retry_after_are_told(void **state)
{
    (void)state;
    expect("https://localhost:%d/status/204", receiver.https, POST_answered, 204);
    expect("https://localhost:%d/status/410", receiver.https, POST_answered, 410);
    expect("https://localhost:%d/status/599", receiver.https, POST_answered, 599);
    assert_string_equal(last.retry_after, "");
    expect("https://localhost:%d/retry-after/77", receiver.https, POST_answered, 429);
    assert_string_equal(last.retry_after, "77");
    expect("https://localhost:%d/retry-date/60", receiver.https, POST_answered, 503);
    assert_non_null(strstr(last.retry_after, " GMT"));
    expect("https://localhost:%d/ok", receiver.https, POST_answered, 200);
    assert_string_equal(last.retry_after, "");
}

static size_t requests_of(const char *path)
{
    char line[1024];
    size_t count = 0;
    FILE *file = fopen(receiver.log_file, "r");

    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        count += strstr(line, path) != NULL;
    fclose(file);
    return count;
}

static void redirects_are_not_followed(void **state)
{
    (void)state;
    expect("https://localhost:%d/redirect", receiver.https, POST_answered, 302);
    expect("https://localhost:%d/redirect-success", receiver.https, POST_answered, 200);
    expect("https://localhost:%d/ok", receiver.https, POST_answered, 200);
    assert_int_equal(requests_of("/redirect\t"), 1);
    assert_int_equal(requests_of("/followed"), 0);
}

/* ---- bad receivers ---- */

static void certificates_are_checked(void **state)
{
    (void)state;
    expect("https://localhost:%d/ok", receiver.expired, POST_tls_certificate, 0);
    expect("https://localhost:%d/ok", receiver.selfsigned, POST_tls_certificate, 0);
    expect("https://localhost:%d/ok", receiver.wronghost, POST_tls_certificate, 0);
    expect("https://private.elsewhere.test:%d/ok", receiver.https, POST_blocked_address, 0);
    expect("https://localhost:%d/ok", receiver.http, POST_connect_timeout, 0); /* no handshake */
    struct post_config settings = config();
    settings.ca_file = ""; /* the system's know nothing of ours */
    open_with(&settings);
    expect("https://localhost:%d/ok", receiver.https, POST_tls_certificate, 0);
}

static void silence_and_drips_end_in_time(void **state)
{
    (void)state;
    expect("https://localhost:%d/hang", receiver.https, POST_timeout, 0);
    assert_in_range(last.latency_us, WHOLE_MS * 900, WHOLE_MS * 3000);
    expect("https://localhost:%d/drip-head", receiver.https, POST_timeout, 0);
    expect("https://localhost:%d/drip-body", receiver.https, POST_answered, 200);
    assert_in_range(last.latency_us, WHOLE_MS * 900, WHOLE_MS * 3000);
    expect("https://localhost:%d/ok", receiver.mute, POST_connect_timeout, 0);
    assert_in_range(last.latency_us, CONNECT_MS * 900, CONNECT_MS * 3000);
    expect("http://localhost:%d/ok", receiver.mute, POST_timeout, 0);
}

static void closed_and_malformed_answers_have_their_names(void **state)
{
    (void)state;
    expect("https://localhost:%d/close", receiver.https, POST_closed, 0);
    expect("https://localhost:%d/half", receiver.https, POST_protocol, 0);
    expect("https://localhost:%d/garbage", receiver.https, POST_protocol, 0);
    expect("https://localhost:%d/http09", receiver.https, POST_protocol, 0);
    expect("http://localhost:%d/", 1, POST_connect_refused, 0);
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void expect_resident(long begin_kb)
{
#ifndef __SANITIZE_ADDRESS__
    assert_in_range(resident_kb(), 0, begin_kb + 1024);
#else
    (void)begin_kb; /* freed memory is kept aside */
#endif
}

static void no_answer_makes_memory_grow(void **state)
{
    static const struct {
        const char *path;
        enum post_end end;
        unsigned status;
    } cases[] = {{"https://localhost:%d/endless-head", POST_too_large, 0},
                 {"https://localhost:%d/endless-line", POST_too_large, 0},
                 {"https://localhost:%d/endless-interim", POST_too_large, 0},
                 {"https://localhost:%d/endless-body", POST_answered, 200},
                 {"https://localhost:%d/endless-body/500", POST_answered, 500},
                 {"https://localhost:%d/endless-chunks", POST_answered, 200}};
    long begin_kb = 0;

    (void)state;
    for (int round = 0; round < 12; round++) {
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            const struct post_answer *answer = fetch(cases[i].path, receiver.https);
            bool odd_line =
                i == 1 && answer->end == POST_protocol; /* libcurl's own bound of a line */
            if (!odd_line && (answer->end != cases[i].end || answer->status != cases[i].status))
                fail_msg("%s: %s, status %u", cases[i].path, post_end_name(answer->end),
                         answer->status);
        }
        if (round == 2)
            begin_kb = resident_kb();
    }
    expect_resident(begin_kb);
}

/* Each would be 64 MiB. */
static void a_compression_bomb_is_not_unpacked(void **state)
{
    long begin_kb = 0;

    (void)state;
    fetch("https://localhost:%d/gzip-bomb", receiver.https); /* takes its time to be made */
    for (int round = 0; round < 20; round++) {
        expect("https://localhost:%d/gzip-bomb", receiver.https, POST_answered, 200);
        if (round == 2)
            begin_kb = resident_kb();
    }
    expect_resident(begin_kb);
}

/* Ten thousand answers of the quick kinds, one after the other. */
static void ten_thousand_failures_leave_nothing(void **state)
{
    static const char *const urls[] = {"http://localhost:%d/close",
                                       "http://localhost:%d/half",
                                       "http://localhost:%d/garbage",
                                       "http://localhost:%d/http09",
                                       "http://localhost:%d/status/500",
                                       "http://localhost:%d/redirect",
                                       "http://127.0.0.1:1/",
                                       "https://10.0.0.1:%d/",
                                       "ftp://localhost:%d/",
                                       "http://private.good.test:%d/"};
    long begin_kb = 0;

    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        fetch(urls[i % COUNT_OF(urls)], receiver.http);
        if (last.end == POST_answered && last.status < 300)
            fail_msg("%s: status %u", urls[i % COUNT_OF(urls)], last.status);
        if (i == 1000)
            begin_kb = resident_kb();
    }
    assert_in_range(post_open_connections(poster), 0, 1);
    expect_resident(begin_kb);
}

/* ---- where it goes ---- */

static void denied_addresses_are_never_connected_to(void **state)
{
    static const char *const names[] = {"private", "metadata", "mixed", "mixed6", "six", "nat64"};
    char url[96];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(url, sizeof url, "https://%s.good.test:%%d/ok", names[i]);
        expect(url, receiver.https, POST_blocked_address, 0);
        assert_string_equal(last.address, "");
    }
    expect("https://none.good.test:%d/ok", receiver.https, POST_dns, 0);
    expect("https://nosuch.good.test:%d/ok", receiver.https, POST_dns, 0);
    expect("https://many.good.test:%d/ok", receiver.https, POST_dns, 0);
    expect("https://silent.good.test:%d/ok", receiver.https, POST_dns_timeout, 0);
    assert_in_range(last.latency_us, CONNECT_MS * 900, CONNECT_MS * 3000);
    expect("https://10.0.0.1:%d/", receiver.https, POST_blocked_address, 0);
    expect("https://[::ffff:10.0.0.1]:%d/", receiver.https, POST_blocked_address, 0);
    expect("https://[::1]:%d/", receiver.https, POST_blocked_address, 0);
    expect("https://0xa.1:%d/", receiver.https, POST_blocked_address, 0);
    expect("https://0251.254.0xa9fe:%d/", receiver.https, POST_blocked_address, 0);
    expect("https://2852039166:%d/", receiver.https, POST_blocked_address, 0);
}

/* The port of a socket that nobody may reach. */
static int listen_somewhere(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 8) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void nothing_listed_means_no_connection_to_this_machine(void **state)
{
    static const struct address_policy none = {0};
    static const char *const urls[] = {
        "http://127.0.0.1:%d/",       "http://localhost:%d/", "http://good.good.test:%d/",
        "http://[::ffff:7f00:1]:%d/", "http://0:%d/",         "http://127.1:%d/",
        "http://0177.0.0.1:%d/"};
    struct post_config settings = config();
    int port, fd = listen_somewhere(&port);

    (void)state;
    settings.policy = &none;
    open_with(&settings);
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        expect(urls[i], port, POST_blocked_address, 0);
        assert_int_equal(accept(fd, NULL, NULL), -1);
    }
    close(fd);
}

/* Between the look-up that is judged and the connection there is no second one, which could be
 * answered otherwise. */
static void a_name_is_looked_up_once(void **state)
{
    (void)state;
    expect("http://good.good.test:%d/ok", receiver.http, POST_answered, 200);
    assert_string_equal(last.address, "127.0.0.1");
    assert_int_equal(post_off_lookups(), 0);
}

static void a_name_that_changes_its_address_is_refused_then(void **state)
{
    (void)state;
    expect("https://rebind.good.test:%d/ok", receiver.https, POST_answered, 200);
    usleep(1200000); /* the answer's time is over, the connection still stands */
    assert_int_equal(post_open_connections(poster), 1);
    expect("https://rebind.good.test:%d/ok", receiver.https, POST_blocked_address, 0);
}

/* The rules change while a connection is kept: the name is not asked again, the connection is. */
static void a_kept_connection_is_judged_again(void **state)
{
    struct address_policy kept = loopback;

    (void)state;
    expect("https://localhost:%d/ok", receiver.https, POST_answered, 200);
    loopback.count = 0;
    expect("https://localhost:%d/ok", receiver.https, POST_blocked_address, 0);
    loopback = kept;
}

static void urls_that_break_a_rule_are_refused(void **state)
{
    static const char *const urls[] = {"",
                                       "localhost",
                                       "ftp://localhost:%d/",
                                       "file:///etc/passwd",
                                       "gopher://localhost:%d/",
                                       "https://user:secret@localhost:%d/",
                                       "https://user@localhost:%d/",
                                       "https://localhost:0/",
                                       "https://localhost:70000/",
                                       "https://local host:%d/",
                                       "https://localhost:%d/a b",
                                       "javascript:alert(1)"};
    struct post_config settings = config();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++)
        expect(urls[i], receiver.https, POST_blocked_url, 0);
    settings.schemes = "https";
    settings.ports = "443, 8443";
    open_with(&settings);
    expect("http://localhost:443/", 0, POST_blocked_url, 0);
    expect("https://localhost:%d/", receiver.https, POST_blocked_url, 0);
    expect("https://10.0.0.1/", 0, POST_blocked_address, 0); /* 443 is one of them */
    expect("https://10.0.0.1:8443/", 0, POST_blocked_address, 0);
}

static void the_environment_has_no_say(void **state)
{
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "socks5://127.0.0.1:1", 1);
    setenv("HOME", receiver.dir, 1); /* .netrc */
    expect("http://localhost:%d/ok", receiver.http, POST_answered, 200);
    expect("https://localhost:%d/ok", receiver.https, POST_answered, 200);
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
}

static void what_is_cancelled_is_never_told(void **state)
{
    char url[96];
    size_t before_this = ended;
    struct post *hanging, *resolving, *refused;

    (void)state;
    snprintf(url, sizeof url, "https://localhost:%d/hang", receiver.https);
    hanging = begin(url, NULL);
    resolving = begin("https://silent.good.test/", NULL);
    refused = begin("nonsense://", NULL);
    post_cancel(refused);
    for (int i = 0; i < 10; i++)
        turn();
    post_cancel(hanging);
    post_cancel(resolving);
    begin(url, NULL); /* forgotten by post_close */
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(ended, before_this);
}

static void settings_that_are_wrong_are_named(void **state)
{
    static const char *const ports[] = {"443;80", "0", "65536", "https", "-1"};
    struct post_config settings = config();
    struct poster *none = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        settings.ports = ports[i];
        assert_err(post_open(&settings, on_done, &receiver, &none, &err), err, ERR_CONFIG);
    }
    settings = config();
    settings.schemes = "http";
    assert_err(post_open(&settings, on_done, &receiver, &none, &err), err, ERR_CONFIG);
    settings = config();
    settings.ca_file = "/nonexistent/ca.pem";
    assert_err(post_open(&settings, on_done, &receiver, &none, &err), err, ERR_CONFIG);
    settings = config();
    settings.dns_servers = "not an address";
    assert_err(post_open(&settings, on_done, &receiver, &none, &err), err, ERR_CONFIG);
    settings = config();
    settings.most = 100000000;
    assert_err(post_open(&settings, on_done, &receiver, &none, &err), err, ERR_CONFIG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_is_verified_and_used_again),
        TEST(many_at_once),
        TEST(statuses_and_retry_after_are_told),
        TEST(redirects_are_not_followed),
        TEST(certificates_are_checked),
        TEST(silence_and_drips_end_in_time),
        TEST(closed_and_malformed_answers_have_their_names),
        TEST(no_answer_makes_memory_grow),
        TEST(a_compression_bomb_is_not_unpacked),
        TEST(ten_thousand_failures_leave_nothing),
        TEST(denied_addresses_are_never_connected_to),
        TEST(nothing_listed_means_no_connection_to_this_machine),
        TEST(a_name_is_looked_up_once),
        TEST(a_name_that_changes_its_address_is_refused_then),
        TEST(a_kept_connection_is_judged_again),
        TEST(urls_that_break_a_rule_are_refused),
        TEST(the_environment_has_no_say),
        TEST(what_is_cancelled_is_never_told),
        TEST(settings_that_are_wrong_are_named),
    };
    cmocka_set_test_filter(getenv("RUSTBOX_TEST_ONLY")); /* tests/integration/protections */
    receiver_start_or_skip(&receiver);
    assert_ok(address_policy_parse("127.0.0.0/8", &loopback, &err), err);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    receiver_stop(&receiver);
    return failed;
}
