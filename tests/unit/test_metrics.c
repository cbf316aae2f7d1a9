/* lib/metrics: what is counted is rendered, and the responder answers, within its bounds. */
#include "lib/metrics/metrics.h"
#include "tests/unit/unit.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void assert_has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("'%s' is missing in:\n%s", line, text);
}

static void rendered(void **state)
{
    (void)state;
    metrics_reset();
    metric_add(METRIC_records_in_total, "submissions", 3);
    metric_add(METRIC_records_in_total, "a\"b\\c\n", 1);
    metric_set(METRIC_waiting_requests, NULL, -4);
    metric_observe(METRIC_handle_seconds, "admit", 1000000);      /* 1 ms: on the bound */
    metric_observe(METRIC_handle_seconds, "admit", 60000000000u); /* beyond all bounds */
    metric_observe(METRIC_batch_records, "admit", 150);
    BUF_AUTO struct buf out = {.max = 1 << 20};
    metrics_render(&out);
    const char *text = buf_text(&out);
    assert_has(text, "# TYPE rustbox_records_in_total counter\n");
    assert_has(text, "\nrustbox_records_in_total{topic=\"submissions\"} 3\n");
    assert_has(text, "\nrustbox_records_in_total{topic=\"a\\\"b\\\\c?\"} 1\n");
    assert_has(text, "\nrustbox_waiting_requests -4\n");
    assert_has(text, "\nrustbox_launcher_deaths_total 0\n");
    assert_has(text, "\nrustbox_handle_seconds_bucket{stage=\"admit\",le=\"0.0005\"} 0\n");
    assert_has(text, "\nrustbox_handle_seconds_bucket{stage=\"admit\",le=\"0.001\"} 1\n");
    assert_has(text, "\nrustbox_handle_seconds_bucket{stage=\"admit\",le=\"30\"} 1\n");
    assert_has(text, "\nrustbox_handle_seconds_bucket{stage=\"admit\",le=\"+Inf\"} 2\n");
    assert_has(text, "\nrustbox_handle_seconds_sum{stage=\"admit\"} 60.001000000\n");
    assert_has(text, "\nrustbox_handle_seconds_count{stage=\"admit\"} 2\n");
    assert_has(text, "\nrustbox_batch_records_bucket{stage=\"admit\",le=\"200\"} 1\n");
    assert_int_equal(metric_value(METRIC_records_in_total, "submissions"), 3);
    assert_int_equal(metric_value(METRIC_handle_seconds, "admit"), 2);
}

static void labels_are_bounded(void **state)
{
    (void)state;
    metrics_reset();
    for (int i = 0; i < 1000; i++) {
        char label[200];
        memset(label, 'x', sizeof label);
        snprintf(label, 20, "value_%d", i);
        metric_add(METRIC_records_in_total, label, 1);
    }
    assert_int_equal(metric_value(METRIC_records_in_total, "value_0"), 1);
    assert_int_equal(metric_value(METRIC_records_in_total, "other"), 1000 - (METRIC_LABELS - 1));
}

static char path[64], answer[1 << 17];
static struct metrics_server *server;

static int dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static const char *ask(const char *request)
{
    int fd = dial();
    size_t sent = 0, got = 0, len = strlen(request);
    for (int i = 0; i < 200; i++) {
        if (sent < len) { /* byte by byte at first: requests arrive in pieces */
            ssize_t step = send(fd, request + sent, sent < 10 ? 1 : len - sent, MSG_NOSIGNAL);
            sent += step > 0 ? (size_t)step : 0;
        }
        struct pollfd poller = {.fd = metrics_server_fd(server), .events = POLLIN};
        if (poll(&poller, 1, 10) > 0)
            metrics_server_ready(server);
        ssize_t part = recv(fd, answer + got, sizeof answer - 1 - got, 0);
        if (part == 0)
            break;
        got += part > 0 ? (size_t)part : 0;
    }
    close(fd);
    answer[got] = '\0';
    return answer;
}

static void responder(void **state)
{
    (void)state;
    struct err err = {0};
    char listen_on[80];
    snprintf(path, sizeof path, "/tmp/rustbox_metrics_%d.sock", (int)getpid());
    snprintf(listen_on, sizeof listen_on, "unix:%s", path);
    assert_ok(metrics_server_open(listen_on, &server, &err), err);
    assert_has(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.0 200 OK\r\n");
    assert_has(answer, "rustbox_launcher_deaths_total");
    assert_has(ask("GET /health HTTP/1.0\n\n"), "\r\n\r\n{\"status\":\"ok\"}\n");
    metrics_server_health(server, "database away");
    assert_has(ask("GET /health HTTP/1.0\r\n\r\n"), "HTTP/1.0 503 ");
    assert_has(answer, "{\"status\":\"unhealthy\",\"reason\":\"database away\"}");
    assert_has(ask("GET /secrets HTTP/1.0\r\n\r\n"), "HTTP/1.0 404 ");
    assert_has(ask("POST /metrics HTTP/1.0\r\n\r\n"), "HTTP/1.0 405 ");
    static char flood[4000];
    memset(flood, 'x', sizeof flood - 1);
    assert_has(ask(flood), "HTTP/1.0 431 ");
    int idle[20]; /* connections that never ask do not keep others out */
    for (int i = 0; i < 20; i++) {
        idle[i] = dial();
        metrics_server_ready(server);
    }
    assert_has(ask("GET /health HTTP/1.0\r\n\r\n"), "HTTP/1.0 503 ");
    for (int i = 0; i < 20; i++)
        close(idle[i]);
    metrics_server_close(server);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_ok(metrics_server_open("0", &server, &err), err); /* off */
    assert_null(server);
    assert_int_equal(metrics_server_fd(server), -1);
    metrics_server_ready(server);
    metrics_server_close(server);
    assert_ok(metrics_server_open("127.0.0.1:0", &server, &err), err);
    metrics_server_close(server);
    static const char *const wrong[] = {"9100", "localhost:http", ":9100", "127.0.0.1:x",
                                        "unix:/nonexistent/x.sock"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_err(metrics_server_open(wrong[i], &server, &err), err, ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rendered),
                                       cmocka_unit_test(labels_are_bounded),
                                       cmocka_unit_test(responder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
