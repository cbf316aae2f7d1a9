/* The v1 result body (api.md part 1). The order of keys is the documentation's; `verdict` exists
 * only in a terminal body. Times are seconds with six decimals, bytes and counters integers. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "schemas/result_impl.h"
#include <inttypes.h>

#define SCHEMA_VERSION "1.0"
#define CPU_BOUND_PERCENT 50 /* of the wall time: below, the program slept or waited */

static void put_text(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, "\"%s\":", key);
    json_quote(span_text(text), out);
    buf_puts(out, ",");
}

/* No reader of JSON takes an integer above INT64_MAX, and no kernel counts that far. */
static void put_u64(struct buf *out, const char *key, uint64_t value, const char *end)
{
    buf_printf(out, "\"%s\":%" PRIu64 "%s", key, value > INT64_MAX ? INT64_MAX : value, end);
}

void result_put_seconds(struct buf *out, const char *key, uint64_t ns)
{
    uint64_t us = ns / 1000;
    buf_printf(out, "\"%s\":%" PRIu64 ".%06" PRIu64 ",", key, us / 1000000, us % 1000000);
}

static void put_time(struct buf *out, const char *key, int64_t ns, const char *end)
{
    char text[RFC3339_TEXT];
    if (ns <= 0) {
        buf_printf(out, "\"%s\":null%s", key, end);
        return;
    }
    rfc3339_format(ns, text);
    buf_printf(out, "\"%s\":\"%s\"%s", key, text, end);
}

static void put_int_or_null(struct buf *out, const char *key, bool has, int value)
{
    if (has)
        buf_printf(out, "\"%s\":%d,", key, value);
    else
        buf_printf(out, "\"%s\":null,", key);
}

/* The text, and its exact bytes beside it when the text form loses something. */
void result_put_output(struct buf *out, const char *key, struct span bytes)
{
    buf_printf(out, "\"%s\":", key);
    if (utf8_valid(bytes) && (bytes.len == 0 || !memchr(bytes.data, 0, bytes.len))) {
        json_quote(bytes, out);
        buf_puts(out, ",");
        return;
    }
    BUF_AUTO struct buf clean = {.max = bytes.len * 3};
    utf8_scrub(bytes, &clean);
    out->failed |= clean.failed;
    json_quote(buf_span(&clean), out);
    buf_printf(out, ",\"%s_base64\":\"", key);
    char *room = buf_reserve(out, BASE64_SIZE(bytes.len));
    if (room) {
        base64_encode(bytes.data, bytes.len, room);
        buf_grow(out, BASE64_SIZE(bytes.len) - 1);
    }
    buf_puts(out, "\",");
}

static void put_controls(struct buf *out, const char *key, uint32_t bits)
{
    const char *comma = "";
    buf_printf(out, "\"%s\":[", key);
    for (unsigned i = 0; i < CONTROL_COUNT; i++) {
        if (!(bits & UINT32_C(1) << i))
            continue;
        buf_printf(out, "%s\"%s\"", comma, control_name((enum control)i));
        comma = ",";
    }
    buf_puts(out, "],");
}

static void put_cgroup(struct buf *out, const struct evidence *ev,
                       const struct phase_evidence *phase)
{
    buf_puts(out, "\"cgroup\":{");
    put_u64(out, "memory_limit_bytes", phase->limits.memory_bytes, ",");
    put_u64(out, "memory_peak_bytes", phase->memory_peak_bytes, ",");
    put_u64(out, "oom_events", phase->oom_events, ",");
    put_u64(out, "oom_kill_events", phase->oom_kills, ",");
    put_u64(out, "cpu_usage_usec", phase->cpu_ns / 1000, ",");
    put_u64(out, "process_count", phase->pids_peak, ",");
    put_u64(out, "process_limit", phase->pids_max, ",");
    put_text(out, "backend", ev->cgroup_backend);
    put_u64(out, "processes_denied", phase->pids_denied, "},");
}

static void put_timing(struct buf *out, const struct phase_evidence *phase)
{
    uint64_t wall_us = phase->wall_ns / 1000, cpu_us = phase->cpu_ns / 1000;
    double ratio = wall_us > 0 ? (double)cpu_us / (double)wall_us : 0;
    uint64_t thousandths = ratio < 1e6 ? (uint64_t)(ratio * 1000 + 0.5) : 0;
    bool bound = thousandths >= CPU_BOUND_PERCENT * 10;
    buf_puts(out, "\"timing\":{");
    put_u64(out, "cpu_ms", phase->cpu_ns / 1000000, ",");
    put_u64(out, "wall_ms", phase->wall_ns / 1000000, ",");
    buf_printf(out, "\"cpu_wall_ratio\":%" PRIu64 ".%03" PRIu64 ",", thousandths / 1000,
               thousandths % 1000);
    buf_printf(out, "\"divergence\":\"%s\"},", bound ? "cpu_bound" : "sleep_or_block_bound");
}

static void put_lifecycle(struct buf *out, const struct phase_evidence *phase)
{
    const char *reaped = !phase->ran ? "not_run" : phase->reported ? "clean" : "no_report";
    const char *contained = !phase->ran ? "not_run" : phase->group_empty ? "ok" : "survivors";
    buf_printf(out,
               "\"process_lifecycle\":{\"reap_status\":\"%s\",\"descendant_containment\":\"%s\","
               "\"zombie_count\":%" PRIu64 ",\"survivor_count\":%" PRIu64 "},",
               reaped, contained, phase->zombies, phase->survivors);
}

static void put_actions(struct buf *out, const struct phase_evidence *phase)
{
    const char *comma = "";
    buf_puts(out, "\"judge_actions\":[");
    for (unsigned bit = ACTION_KILL_CPU; bit <= ACTION_KILL_CANCEL; bit <<= 1) {
        if (!(phase->actions & bit))
            continue;
        buf_printf(out, "%s\"%s\"", comma, judge_action_name((enum judge_action)bit));
        comma = ",";
    }
    buf_puts(out, "],");
}

static void put_collection_errors(struct buf *out, const struct evidence *ev)
{
    const char *comma = "";
    buf_puts(out, "\"collection_errors\":[");
    for (size_t i = 0; i < COUNT_OF(ev->collection_errors); i++) {
        if (ev->collection_errors[i][0] == '\0')
            continue;
        buf_puts(out, comma);
        json_quote(span_text(ev->collection_errors[i]), out);
        comma = ",";
    }
    buf_puts(out, "],");
}

/* Registers do not fit into JSON's integers: hexadecimal text. */
static void put_seccomp(struct buf *out, const struct evidence *ev,
                        const struct phase_evidence *phase)
{
    size_t kept = phase->seccomp_count < SECCOMP_EVENTS_MAX ? (size_t)phase->seccomp_count
                                                            : SECCOMP_EVENTS_MAX;
    buf_puts(out, "\"seccomp\":{");
    put_text(out, "filter_sha256", ev->filter_sha256);
    put_u64(out, "count", phase->seccomp_count, ",");
    buf_puts(out, "\"events\":[");
    for (size_t i = 0; i < kept; i++) {
        const struct seccomp_event *event = &phase->seccomp[i];
        buf_puts(out, i > 0 ? ",{" : "{");
        put_text(out, "name", event->name);
        buf_printf(out, "\"number\":%" PRId32 ",\"arch\":\"0x%" PRIx32 "\",\"pid\":%" PRIu32,
                   event->number, event->arch, event->pid);
        buf_printf(out, ",\"instruction_pointer\":\"0x%" PRIx64 "\",\"args\":[",
                   event->instruction_pointer);
        for (size_t a = 0; a < COUNT_OF(event->args); a++)
            buf_printf(out, "%s\"0x%" PRIx64 "\"", a > 0 ? "," : "", event->args[a]);
        buf_puts(out, "]}");
    }
    buf_puts(out, "]},");
}

static void put_limits(struct buf *out, const struct limits *limits)
{
    buf_puts(out, "\"limits\":{");
    put_u64(out, "memory_bytes", limits->memory_bytes, ",");
    put_u64(out, "cpu_ms", limits->cpu_ms, ",");
    put_u64(out, "wall_ms", limits->wall_ms, ",");
    put_u64(out, "processes", limits->processes, ",");
    put_u64(out, "open_files", limits->open_files, ",");
    put_u64(out, "file_bytes", limits->file_bytes, ",");
    put_u64(out, "tmp_bytes", limits->tmp_bytes, ",");
    put_u64(out, "output_bytes", limits->output_bytes, ",");
    put_u64(out, "stack_bytes", limits->stack_bytes, "},");
}

static void put_namespaces(struct buf *out, const struct evidence *ev)
{
    buf_puts(out, "\"namespaces\":{");
    put_u64(out, "pid", ev->ns_pid, ",");
    put_u64(out, "mnt", ev->ns_mnt, ",");
    put_u64(out, "net", ev->ns_net, ",");
    put_u64(out, "ipc", ev->ns_ipc, ",");
    put_u64(out, "uts", ev->ns_uts, ",");
    put_u64(out, "cgroup", ev->ns_cgroup, ",");
    put_u64(out, "user", ev->ns_user, "},");
}

static void put_sha256(struct buf *out, const char *key, struct span bytes, const char *end)
{
    uint8_t hash[SHA256_BYTES];
    char hex[HEX_SIZE(SHA256_BYTES)];
    sha256(bytes, hash);
    hex_encode(hash, sizeof hash, hex);
    buf_printf(out, "\"%s\":\"%s\"%s", key, hex, end);
}

/* All that the verdict was decided from, as the launcher measured it, in both phases: what
 * `rustbox verify` applies the rules to again. */
static void put_measured(struct buf *out, const struct result *result)
{
    struct err too_large; /* out->failed says it too */
    buf_puts(out, "\"measured\":");
    if (!result->has_evidence)
        buf_puts(out, "null");
    else if (evidence_encode(&result->evidence, out, &too_large))
        out->failed = true;
    buf_puts(out, ",");
}

static void put_evidence(struct buf *out, const struct result *result, const struct uuid *id_shown)
{
    const struct evidence *ev = &result->evidence; /* zero when nothing ran */
    const struct phase_evidence *phase = evidence_phase(ev);
    const char *mode = ev->permissive ? "permissive" : "enforced";
    char submission[HEX_SIZE(32)], digest[HEX_SIZE(32)];
    uint8_t hash[32];
    struct err too_large;
    if (result_digest(result, id_shown, hash, &too_large)) {
        out->failed = true;
        return;
    }
    hex_encode(result->digest, sizeof result->digest, submission);
    hex_encode(hash, sizeof hash, digest);
    buf_puts(out, "\"evidence\":{");
    put_text(out, "verdict_cause", cause_name(result->verdict.cause));
    put_text(out, "verdict_actor", cause_actor(result->verdict.cause));
    put_text(out, "isolation_mode", result->has_evidence ? mode : "not_run");
    put_text(out, "phase", ev->run.ran ? "run" : ev->compile.ran ? "compile" : "none");
    put_controls(out, "controls_applied", ev->controls_applied);
    put_controls(out, "controls_missing", ev->controls_missing);
    put_cgroup(out, ev, phase);
    put_timing(out, phase);
    put_lifecycle(out, phase);
    put_actions(out, phase);
    put_collection_errors(out, ev);
    put_seccomp(out, ev, phase);
    put_namespaces(out, ev);
    put_limits(out, &phase->limits);
    put_text(out, "toolchain", ev->toolchain);
    put_text(out, "tier", ev->tier);
    put_text(out, "compile_cache", ev->compile_cache);
    if (ev->template_generation)
        buf_printf(out, "\"template\":{\"generation\":%llu,\"jobs\":%llu},",
                   (unsigned long long)ev->template_generation,
                   (unsigned long long)ev->template_jobs);
    if (ev->sandbox_runs)
        buf_printf(out, "\"sandbox_runs\":%llu,", (unsigned long long)ev->sandbox_runs);
    buf_puts(out, "\"queue\":{");
    put_time(out, "received", result->times.received, ",");
    put_time(out, "validated", result->times.validated, ",");
    put_time(out, "admitted", result->times.admitted, ",");
    put_time(out, "dequeued", result->times.dequeued, "},");
    put_text(out, "policy_version", result->policy);
    put_measured(out, result);
    buf_puts(out, "\"outputs\":{");
    put_sha256(out, "stdout_sha256", result->out, ",");
    put_sha256(out, "stderr_sha256", result->errout, "},");
    put_text(out, "submission_digest", submission);
    buf_printf(out, "\"digest\":\"%s\"},", digest);
}

/* 0 for an id of the year 2262 or later, which no clock of ours makes. */
static int64_t id_time_ns(const struct uuid *id)
{
    int64_t ms = uuid_ms(id);
    return ms < INT64_MAX / 1000000 ? ms * 1000000 : 0;
}

/* What was left out of a body that has to stay small, and where the whole is. */
static void put_cut(struct buf *out, bool cut_out, bool cut_err, const char *id)
{
    if (cut_out)
        buf_puts(out, "\"stdout_truncated\":true,");
    if (cut_err)
        buf_puts(out, "\"stderr_truncated\":true,");
    buf_printf(out, "\"result_url\":\"/api/result/%s\",", id);
}

/* At most max bytes, and no character of UTF-8 in two. */
static struct span cut_text(struct span text, size_t max)
{
    const unsigned char *at = text.data;
    if (text.len <= max)
        return text;
    while (max > 0 && (at[max] & 0xc0) == 0x80)
        max--;
    return span_of(text.data, max);
}

/* outputs_max: of each output; SIZE_MAX = whole. */
static void put_body(const struct result *result, const struct uuid *id_shown, size_t outputs_max,
                     bool with_evidence, struct buf *out)
{
    const struct decision *decision = &result->verdict;
    const struct phase_evidence *phase = evidence_phase(&result->evidence);
    const char *message =
        result->error_message ? result->error_message : cause_message(decision->cause);
    char id[UUID_TEXT];
    uuid_format(id_shown, id);
    buf_puts(out, "{");
    put_text(out, "id", id);
    put_text(out, "language", language_name(result->language));
    put_text(out, "job_status", verdict_job_status(decision->verdict));
    put_text(out, "schema_version", SCHEMA_VERSION);
    put_text(out, "verdict", verdict_name(decision->verdict));
    put_int_or_null(out, "exit_code", decision->has_exit_code, decision->exit_code);
    put_int_or_null(out, "signal", decision->has_signal, decision->signal);
    result_put_output(out, "stdout", cut_text(result->out, outputs_max));
    result_put_output(out, "stderr", cut_text(result->errout, outputs_max));
    if (outputs_max != SIZE_MAX)
        put_cut(out, result->out.len > outputs_max, result->errout.len > outputs_max, id);
    put_text(out, "output_integrity", output_integrity_name(decision->integrity));
    if (message[0])
        put_text(out, "error_message", message);
    else
        buf_puts(out, "\"error_message\":null,");
    struct case_totals totals = case_totals(result->cases, result->case_count);
    bool cases = totals.ran > 0;
    result_put_seconds(out, "cpu_time_secs", cases ? totals.cpu_ns : phase->cpu_ns);
    result_put_seconds(out, "wall_time_secs", cases ? totals.wall_ns : phase->wall_ns);
    put_u64(out, "memory_peak_bytes", cases ? totals.memory_peak_bytes : phase->memory_peak_bytes,
            ",");
    if (result->case_count > 0)
        cases_body(result->cases, result->case_count, outputs_max != SIZE_MAX, out);
    if (with_evidence)
        put_evidence(out, result, id_shown);
    if (result->label_count > 0) {
        buf_puts(out, "\"labels\":");
        labels_put(result->labels, result->label_count, out);
        buf_puts(out, ",");
    }
    put_time(out, "created_at", id_time_ns(id_shown), ",");
    put_time(out, "started_at", result->started_ns, ",");
    put_time(out, "completed_at", result->completed_ns, "}");
}

int result_body_of(const struct result *result, const struct uuid *id_shown, struct buf *out,
                   struct err *err)
{
    put_body(result, id_shown, SIZE_MAX, true, out);
    if (out->failed)
        return err_set(err, ERR_TOO_LARGE, "result body: above %zu bytes", out->max);
    return 0;
}

int result_body(struct span payload, const struct uuid *id_shown, struct buf *out, struct err *err)
{
    struct arena arena;
    struct result result;
    arena_init(&arena, 4 * 1024 * 1024);
    int failed = result_unpack(payload, &arena, &result, err);
    if (!failed)
        failed = result_body_of(&result, id_shown, out, err);
    arena_done(&arena);
    return failed;
}

/* Smaller and smaller until it fits: first the outputs shrink, last the evidence goes. */
static int fit(const struct result *result, const struct uuid *id_shown, size_t max,
               struct buf *out, struct err *err)
{
    size_t before = out->len, limit = out->max;
    size_t outputs_max = SIZE_MAX;
    for (bool with_evidence = true;;) {
        out->max = before + max < limit ? before + max : limit;
        put_body(result, id_shown, outputs_max, with_evidence, out);
        out->max = limit;
        if (!out->failed)
            return 0;
        out->failed = false;
        out->len = before;
        if (outputs_max == 0 && !with_evidence)
            return err_set(err, ERR_TOO_LARGE, "result body: does not fit into %zu bytes", max);
        if (outputs_max == 0)
            with_evidence = false;
        else
            outputs_max = outputs_max == SIZE_MAX ? max / 4
                          : outputs_max < 64      ? 0
                                                  : outputs_max / 2;
    }
}

int result_body_cut(struct span payload, const struct uuid *id_shown, size_t max,
                    int64_t *completed_ns, struct buf *out, struct err *err)
{
    struct arena arena;
    struct result result;
    arena_init(&arena, 4 * 1024 * 1024);
    int failed = result_unpack(payload, &arena, &result, err);
    if (!failed) {
        *completed_ns = result.completed_ns;
        failed = fit(&result, id_shown, max, out, err);
    }
    arena_done(&arena);
    return failed;
}

void result_body_open(const struct uuid *id, enum language language, bool running,
                      int64_t created_ns, int64_t started_ns, struct buf *out)
{
    char text[UUID_TEXT];
    uuid_format(id, text);
    buf_puts(out, "{");
    put_text(out, "id", text);
    put_text(out, "language", language_name(language));
    put_text(out, "job_status", running ? "running" : "pending");
    put_text(out, "schema_version", SCHEMA_VERSION);
    buf_puts(out, "\"exit_code\":null,\"signal\":null,");
    put_time(out, "created_at", created_ns, ",");
    put_time(out, "started_at", started_ns, "}");
}
