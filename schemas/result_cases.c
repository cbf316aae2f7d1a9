/* The results of cases, in a verdict's payload and in the result body.
 *
 * The section: u32 (little endian) bytes of JSON, the JSON, an array with one object a case, then
 * the kept outputs, stdout and stderr of each case in turn, whose lengths the objects have. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "schemas/result_impl.h"
#include <inttypes.h>

#define HEAD_BYTES 4
#define JSON_BYTES_MAX (2 * 1024 * 1024)

static void json_auto(cJSON **json)
{
    cJSON_Delete(*json);
}
#define JSON_AUTO __attribute__((cleanup(json_auto)))

struct case_totals case_totals(const struct case_result *cases, size_t count)
{
    struct case_totals totals = {0};
    for (size_t i = 0; i < count; i++) {
        const struct case_result *one = &cases[i];
        if (!one->ran)
            continue;
        totals.cpu_ns += one->cpu_ns;
        totals.wall_ns += one->wall_ns;
        totals.stdout_bytes += one->stdout_bytes;
        totals.stderr_bytes += one->stderr_bytes;
        if (one->memory_peak_bytes > totals.memory_peak_bytes)
            totals.memory_peak_bytes = one->memory_peak_bytes;
        totals.ran++;
        totals.passed += one->verdict.verdict == VERDICT_AC;
    }
    return totals;
}

/* The first max bytes, but no half of a character. */
static struct span cut_text(struct span text, size_t max)
{
    const unsigned char *bytes = text.data;
    size_t len = text.len < max ? text.len : max;
    for (int i = 0; i < 3 && len > 0 && len < text.len && (bytes[len] & 0xc0) == 0x80; i++)
        len--;
    return span_of(text.data, len);
}

void case_cut(struct case_result *one, size_t *left)
{
    size_t room = *left < CASE_OUTPUT_MAX ? *left : CASE_OUTPUT_MAX;
    size_t wanted = one->out.len < room ? one->out.len : room;
    size_t errors = room - wanted > CASE_STDERR_MAX ? room - wanted : CASE_STDERR_MAX;
    one->errout = cut_text(one->errout, errors < room ? errors : room);
    one->out = cut_text(one->out, room - one->errout.len);
    *left -= one->out.len + one->errout.len;
}

/* ---- the section ---- */

static void pack_one(const struct case_result *one, struct buf *out)
{
    char digest[HEX_SIZE(32)];
    buf_puts(out, "{\"name\":");
    json_quote(one->name, out);
    if (one->ran) {
        hex_encode(one->evidence_sha256, sizeof one->evidence_sha256, digest);
        result_put_decision(out, &one->verdict);
        buf_printf(out, ",\"digest\":\"%s\"", digest);
        result_put_u64(out, "cpu_ns", one->cpu_ns);
        result_put_u64(out, "wall_ns", one->wall_ns);
        result_put_u64(out, "memory_peak_bytes", one->memory_peak_bytes);
        result_put_u64(out, "stdout_bytes", one->stdout_bytes);
        result_put_u64(out, "stderr_bytes", one->stderr_bytes);
        result_put_u64(out, "ns_pid", one->ns_pid);
        result_put_u64(out, "ns_mnt", one->ns_mnt);
        result_put_u64(out, "out", one->out.len);
        result_put_u64(out, "err", one->errout.len);
    }
    buf_puts(out, "}");
}

void cases_pack(const struct case_result *cases, size_t count, struct buf *out)
{
    static const uint8_t none[HEAD_BYTES];
    size_t begin = out->len;
    buf_add(out, none, sizeof none);
    buf_puts(out, "[");
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        pack_one(&cases[i], out);
    }
    buf_puts(out, "]");
    if (!out->failed)
        for (size_t i = 0; i < HEAD_BYTES; i++)
            out->data[begin + i] = (char)((out->len - begin - HEAD_BYTES) >> (8 * i));
    for (size_t i = 0; i < count; i++) {
        buf_add(out, cases[i].out.data, cases[i].out.len);
        buf_add(out, cases[i].errout.data, cases[i].errout.len);
    }
}

static int wrong(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "result: cases: %s", what);
}

static bool take(struct span *rest, uint64_t len, struct span *out)
{
    if (len > rest->len)
        return false;
    *out = span_of(rest->data, (size_t)len);
    *rest = span_of((const char *)rest->data + len, rest->len - (size_t)len);
    return true;
}

static int unpack_one(const cJSON *item, struct span *rest, struct case_result *out,
                      struct err *err)
{
    uint64_t kept_out, kept_err;
    const struct {
        const char *name;
        uint64_t *value;
    } figures[] = {{"cpu_ns", &out->cpu_ns},
                   {"wall_ns", &out->wall_ns},
                   {"memory_peak_bytes", &out->memory_peak_bytes},
                   {"stdout_bytes", &out->stdout_bytes},
                   {"stderr_bytes", &out->stderr_bytes},
                   {"ns_pid", &out->ns_pid},
                   {"ns_mnt", &out->ns_mnt},
                   {"out", &kept_out},
                   {"err", &kept_err}};
    out->ran = cJSON_GetObjectItemCaseSensitive(item, "verdict") != NULL;
    if (!out->ran)
        return 0;
    if (result_get_decision(item, &out->verdict, err))
        return -1;
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        if (!result_get_u64(cJSON_GetObjectItemCaseSensitive(item, figures[i].name),
                            figures[i].value))
            return wrong(figures[i].name, err);
    if (hex_decode(span_text(result_get_text(item, "digest")), out->evidence_sha256,
                   sizeof out->evidence_sha256))
        return wrong("digest", err);
    if (!take(rest, kept_out, &out->out) || !take(rest, kept_err, &out->errout))
        return wrong("an output is not there", err);
    return 0;
}

/* The section's two halves. */
static cJSON *open_section(struct span section, struct span *rest, struct err *err)
{
    const uint8_t *head = section.data;
    if (section.len < HEAD_BYTES) {
        (void)wrong("cut", err);
        return NULL;
    }
    size_t len =
        (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    struct span json = span_of(NULL, 0);
    *rest = span_of(head + HEAD_BYTES, section.len - HEAD_BYTES);
    cJSON *array = len <= JSON_BYTES_MAX && take(rest, len, &json) && utf8_valid(json)
                       ? cJSON_ParseWithLength(json.data, json.len)
                       : NULL;
    if (cJSON_IsArray(array) && cJSON_GetArraySize(array) <= CASES_MAX)
        return array;
    cJSON_Delete(array);
    (void)wrong("no array of at most 1000", err);
    return NULL;
}

int cases_unpack(struct span section, struct arena *arena, struct result *out, struct err *err)
{
    struct span rest;
    const cJSON *item;
    size_t count = 0;
    JSON_AUTO cJSON *array = open_section(section, &rest, err);
    if (!array)
        return -1;
    struct case_result *cases =
        arena_alloc(arena, ((size_t)cJSON_GetArraySize(array) + 1) * sizeof *cases);
    if (!cases)
        return err_set(err, ERR_NO_MEMORY, "result: no room for the cases");
    cJSON_ArrayForEach(item, array)
    {
        struct case_result *one = &cases[count++];
        const char *name = arena_text(arena, span_text(result_get_text(item, "name")));
        if (!name)
            return err_set(err, ERR_NO_MEMORY, "result: no room for the cases");
        one->name = span_text(name);
        if (unpack_one(item, &rest, one, err))
            return -1;
    }
    if (rest.len > 0)
        return wrong("bytes are left over", err);
    out->cases = cases;
    out->case_count = count;
    return 0;
}

int cases_canonical(struct span section, struct buf *out, struct err *err)
{
    struct arena arena;
    struct result result = {.case_count = 0};
    arena_init(&arena, 2 * JSON_BYTES_MAX);
    int failed = cases_unpack(section, &arena, &result, err);
    for (size_t i = 0; !failed && i < result.case_count; i++) {
        const struct case_result *one = &result.cases[i];
        buf_printf(out, "%zu,%d", i, one->ran);
        if (one->ran)
            result_put_decision(out, &one->verdict);
        buf_printf(out, "\n%zu\n", one->out.len);
        buf_add(out, one->out.data, one->out.len);
        buf_printf(out, "\n%zu\n", one->errout.len);
        buf_add(out, one->errout.data, one->errout.len);
    }
    arena_done(&arena);
    return failed;
}

/* ---- the body ---- */

static void body_cut(struct buf *out, const char *key, uint64_t written, struct span kept)
{
    buf_printf(out, "\"%s_bytes\":%" PRIu64 ",\"%s_truncated\":%s,", key, written, key,
               written > kept.len ? "true" : "false");
}

static void body_ran(const struct case_result *one, struct buf *out)
{
    const struct decision *decision = &one->verdict;
    char digest[HEX_SIZE(32)];
    hex_encode(one->evidence_sha256, sizeof one->evidence_sha256, digest);
    buf_printf(out, ",\"verdict\":\"%s\",\"verdict_cause\":\"%s\",",
               verdict_name(decision->verdict), cause_name(decision->cause));
    buf_puts(out, "\"exit_code\":");
    if (decision->has_exit_code)
        buf_printf(out, "%d,\"signal\":", decision->exit_code);
    else
        buf_puts(out, "null,\"signal\":");
    if (decision->has_signal)
        buf_printf(out, "%d,", decision->signal);
    else
        buf_puts(out, "null,");
    result_put_output(out, "stdout", one->out);
    result_put_output(out, "stderr", one->errout);
    body_cut(out, "stdout", one->stdout_bytes, one->out);
    body_cut(out, "stderr", one->stderr_bytes, one->errout);
    buf_printf(out, "\"output_integrity\":\"%s\",", output_integrity_name(decision->integrity));
    result_put_seconds(out, "cpu_time_secs", one->cpu_ns);
    result_put_seconds(out, "wall_time_secs", one->wall_ns);
    buf_printf(out,
               "\"memory_peak_bytes\":%" PRIu64 ",\"evidence\":{\"namespaces\":{\"pid\":%" PRIu64
               ",\"mnt\":%" PRIu64 "},\"digest\":\"%s\"}",
               one->memory_peak_bytes, one->ns_pid, one->ns_mnt, digest);
}

void cases_body(const struct case_result *cases, size_t count, bool cut, struct buf *out)
{
    struct case_totals totals = case_totals(cases, count);
    buf_printf(out, "\"cases_summary\":{\"total\":%zu,\"run\":%zu,\"passed\":%zu},", count,
               totals.ran, totals.passed);
    if (cut) {
        buf_puts(out, "\"cases_truncated\":true,");
        return;
    }
    buf_puts(out, "\"cases\":[");
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        json_quote(cases[i].name, out);
        if (cases[i].ran)
            body_ran(&cases[i], out);
        else
            buf_puts(out, ",\"skipped\":true");
        buf_puts(out, "}");
    }
    buf_puts(out, "],");
}
