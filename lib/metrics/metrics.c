/* The process's metrics: plain numbers in a table, rendered on request. Recording never allocates
 * and never fails. */
#include "lib/metrics/metrics.h"
#include "lib/base/strict.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum type { COUNTER, GAUGE, HISTOGRAM };
enum unit { NONE, SECONDS, BYTES, RECORDS };

struct row {
    const char *name;
    enum type type;
    enum unit unit;
    const char *label, *help;
};
static const struct row rows[METRIC_COUNT] = {
#define METRIC(name, type, unit, label, help) {#name, type, unit, label, help},
#include "lib/metrics/metrics.def"
#undef METRIC
};

/* Upper bounds; one more bucket is above the last. Times in nanoseconds. */
#define BOUNDS 16
static const uint64_t bounds_seconds[BOUNDS] = {
    100000,   250000,    500000,    1000000,   2500000,    5000000,     10000000,     25000000,
    50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000u, 10000000000u, 30000000000u};
static const uint64_t bounds_count[BOUNDS] = {1,   2,    5,    10,   20,    50,    100,   200,
                                              500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
static const uint64_t bounds_bytes[BOUNDS] = {
    64,     256,    1024,    4096,    16384,    32768,    65536,     131072,
    262144, 524288, 1048576, 4194304, 16777216, 67108864, 268435456, 1073741824};

struct series {
    char label[METRIC_LABEL_TEXT];
    union {
        uint64_t total;
        int64_t level;
    };
    uint64_t sum, buckets[BOUNDS + 1]; /* histograms; total counts the observations */
};
static struct {
    struct series series[METRIC_LABELS];
    size_t count;
} table[METRIC_COUNT];

static struct series *find(enum metric metric, const char *label)
{
    struct series *series = table[metric].series;
    for (size_t i = 0; i < table[metric].count; i++)
        if (strncmp(series[i].label, label, METRIC_LABEL_TEXT - 1) == 0)
            return &series[i];
    return NULL;
}

static struct series *series_of(enum metric metric, const char *label, enum type type)
{
    CHECK(metric < METRIC_COUNT && rows[metric].type == type);
    CHECK((label != NULL) == (rows[metric].label[0] != '\0'));
    if (!label)
        label = "";
    struct series *series = find(metric, label);
    if (series)
        return series;
    size_t *count = &table[metric].count;
    if (*count >= METRIC_LABELS - 1) { /* the last place is for all the others */
        label = "other";
        series = find(metric, label);
        if (series)
            return series;
    }
    series = &table[metric].series[(*count)++];
    snprintf(series->label, sizeof series->label, "%s", label);
    return series;
}

void metric_add(enum metric metric, const char *label, uint64_t amount)
{
    series_of(metric, label, COUNTER)->total += amount;
}

void metric_set(enum metric metric, const char *label, int64_t value)
{
    series_of(metric, label, GAUGE)->level = value;
}

static const uint64_t *bounds_of(enum unit unit)
{
    return unit == SECONDS ? bounds_seconds : unit == BYTES ? bounds_bytes : bounds_count;
}

void metric_observe(enum metric metric, const char *label, uint64_t value)
{
    struct series *series = series_of(metric, label, HISTOGRAM);
    const uint64_t *bounds = bounds_of(rows[metric].unit);
    size_t bucket = 0;
    while (bucket < BOUNDS && value > bounds[bucket])
        bucket++;
    series->buckets[bucket]++;
    series->total++;
    series->sum += value;
}

uint64_t metric_value(enum metric metric, const char *label)
{
    const struct series *series = find(metric, label ? label : "");
    return series ? series->total : 0;
}

void metrics_reset(void)
{
    memset(table, 0, sizeof table);
}

/* ---- rendering ---- */

/* name{label="value",le="bound"}; extra is "" or le="..." */
static void put_name(struct buf *out, const struct row *row, const char *suffix,
                     const struct series *series, const char *extra)
{
    bool labelled = row->label[0] != '\0';
    buf_printf(out, "rustbox_%s%s", row->name, suffix);
    if (!labelled && !extra[0])
        return;
    buf_puts(out, "{");
    if (labelled) {
        buf_printf(out, "%s=\"", row->label);
        for (const char *c = series->label; *c; c++) {
            if (*c == '"' || *c == '\\')
                buf_puts(out, "\\");
            buf_add(out, (unsigned char)*c < ' ' ? "?" : c, 1);
        }
        buf_puts(out, "\"");
    }
    buf_printf(out, "%s%s}", labelled && extra[0] ? "," : "", extra);
}

static void put_amount(struct buf *out, enum unit unit, uint64_t value)
{
    if (unit == SECONDS)
        buf_printf(out, "%" PRIu64 ".%09" PRIu64, value / 1000000000, value % 1000000000);
    else
        buf_printf(out, "%" PRIu64, value);
}

static void put_histogram(struct buf *out, const struct row *row, const struct series *series)
{
    const uint64_t *bounds = bounds_of(row->unit);
    uint64_t below = 0;
    for (size_t i = 0; i < BOUNDS; i++) {
        char extra[48];
        if (row->unit == SECONDS)
            snprintf(extra, sizeof extra, "le=\"%g\"", (double)bounds[i] / 1e9);
        else
            snprintf(extra, sizeof extra, "le=\"%" PRIu64 "\"", bounds[i]);
        below += series->buckets[i];
        put_name(out, row, "_bucket", series, extra);
        buf_printf(out, " %" PRIu64 "\n", below);
    }
    put_name(out, row, "_bucket", series, "le=\"+Inf\"");
    buf_printf(out, " %" PRIu64 "\n", series->total);
    put_name(out, row, "_sum", series, "");
    buf_puts(out, " ");
    put_amount(out, row->unit, series->sum);
    buf_puts(out, "\n");
    put_name(out, row, "_count", series, "");
    buf_printf(out, " %" PRIu64 "\n", series->total);
}

static void put_series(struct buf *out, const struct row *row, const struct series *series)
{
    if (row->type == HISTOGRAM) {
        put_histogram(out, row, series);
        return;
    }
    put_name(out, row, "", series, "");
    buf_puts(out, " ");
    if (row->type == GAUGE)
        buf_printf(out, "%" PRId64, series->level);
    else
        put_amount(out, row->unit, series->total);
    buf_puts(out, "\n");
}

void metrics_render(struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    static const struct series nothing;
    for (size_t metric = 0; metric < METRIC_COUNT; metric++) {
        const struct row *row = &rows[metric];
        buf_printf(out, "# HELP rustbox_%s %s\n# TYPE rustbox_%s %s\n", row->name, row->help,
                   row->name, types[row->type]);
        if (table[metric].count == 0 && row->label[0] == '\0')
            put_series(out, row, &nothing); /* a counter that exists and is 0 */
        for (size_t i = 0; i < table[metric].count; i++)
            put_series(out, row, &table[metric].series[i]);
    }
}
