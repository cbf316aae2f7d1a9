/* Counters, gauges and histograms of this process, each a row of metrics.def.
 *
 * One table per process, single-threaded: nothing is atomic. A labelled metric keeps at most
 * METRIC_LABELS values of its one label; further ones are counted under "other". Rendered in
 * Prometheus' text format with the prefix "rustbox_". metrics_server answers GET /metrics and
 * /health from any poll loop, for processes without an HTTP server of their own. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"

enum metric {
#define METRIC(name, ...) METRIC_##name,
#include "lib/metrics/metrics.def"
#undef METRIC
    METRIC_COUNT
};
#define METRIC_LABELS 64
#define METRIC_LABEL_TEXT 48

/* COUNTER and GAUGE. `label` is the value of the row's label, NULL where it has none. */
void metric_add(enum metric metric, const char *label, uint64_t amount); /* counters */
void metric_set(enum metric metric, const char *label, int64_t value);   /* gauges */
/* HISTOGRAM: nanoseconds where the unit is SECONDS, else the plain number. */
void metric_observe(enum metric metric, const char *label, uint64_t value);
uint64_t metric_value(enum metric metric, const char *label); /* counter, gauge, or observations */

void metrics_render(struct buf *out);
void metrics_reset(void); /* tests */

/* ---- a tiny HTTP/1.0 responder ---- */
struct metrics_server;
/* listen: "127.0.0.1:9100", "[::1]:9100" or "unix:/path"; "" or "0" gives *out = NULL, which every
 * function below accepts. */
int metrics_server_open(const char *listen, struct metrics_server **out,
                        struct err *err) MUST_CHECK;
void metrics_server_close(struct metrics_server *server);
int metrics_server_fd(const struct metrics_server *server); /* poll for POLLIN; -1 when off */
void metrics_server_ready(struct metrics_server *server);   /* never blocks */
/* What /health says: 200 `{"status":"ok"}`, or 503 with the reason (a literal; NULL = healthy). */
void metrics_server_health(struct metrics_server *server, const char *unhealthy_reason);
