/* Packing and reading terminal results. The metadata repeats the few figures that persist stores as
 * plain columns, so that the hot path never parses the evidence. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "schemas/payload.h"
#include "schemas/result_impl.h"
#include <inttypes.h>

#define FORMAT 1
#define SAFE_INTEGER_MAX ((UINT64_C(1) << 53) - 1)
#define META_BYTES_MAX (64 * 1024)
#define EVIDENCE_BYTES_MAX (64 * 1024)

static void json_auto(cJSON **json)
{
    cJSON_Delete(*json);
}
#define JSON_AUTO __attribute__((cleanup(json_auto)))

/* ---- writing ---- */

void result_put_u64(struct buf *out, const char *name, uint64_t value)
{
    const char *quote = value > SAFE_INTEGER_MAX ? "\"" : "";
    buf_printf(out, ",\"%s\":%s%" PRIu64 "%s", name, quote, value, quote);
}

static void put_ns(struct buf *out, const char *name, int64_t value)
{
    buf_printf(out, ",\"%s\":\"%" PRId64 "\"", name, value);
}

static void put_int_or_null(struct buf *out, const char *name, bool has, int value)
{
    if (has)
        buf_printf(out, ",\"%s\":%d", name, value);
    else
        buf_printf(out, ",\"%s\":null", name);
}

/* Cut at the maximum, and printable whatever it was. */
static void put_message(const char *message, struct buf *out)
{
    BUF_AUTO struct buf clean = {.max = 3 * RESULT_MESSAGE_MAX};
    utf8_scrub(span_of(message, strnlen(message, RESULT_MESSAGE_MAX)), &clean);
    json_quote(buf_span(&clean), out);
}

void result_put_decision(struct buf *out, const struct decision *decision)
{
    buf_printf(out, ",\"cause\":\"%s\"", cause_name(decision->cause));
    put_int_or_null(out, "exit_code", decision->has_exit_code, decision->exit_code);
    buf_printf(out, ",\"integrity\":\"%s\"", output_integrity_name(decision->integrity));
    put_int_or_null(out, "signal", decision->has_signal, decision->signal);
    buf_printf(out, ",\"verdict\":\"%s\"", verdict_name(decision->verdict));
}

/* What persist stores in the clear: of the run, or of all cases together. */
static struct case_totals figures_of(const struct result *result)
{
    const struct phase_evidence *phase = evidence_phase(&result->evidence);
    struct case_totals totals = case_totals(result->cases, result->case_count);
    if (totals.ran > 0)
        return totals;
    if (!result->has_evidence)
        return (struct case_totals){.stdout_bytes = result->out.len,
                                    .stderr_bytes = result->errout.len};
    return (struct case_totals){.cpu_ns = phase->cpu_ns,
                                .wall_ns = phase->wall_ns,
                                .memory_peak_bytes = phase->memory_peak_bytes,
                                .stdout_bytes = phase->stdout_bytes,
                                .stderr_bytes = phase->stderr_bytes};
}

static void put_meta(const struct result *result, struct buf *out)
{
    const struct case_totals figures = figures_of(result);
    const struct decision *decision = &result->verdict;
    char id[UUID_TEXT], digest[HEX_SIZE(32)];
    uuid_format(&result->id, id);
    hex_encode(result->digest, sizeof result->digest, digest);
    buf_printf(out, "{\"cause\":\"%s\"", cause_name(decision->cause));
    put_ns(out, "completed_ns", result->completed_ns);
    result_put_u64(out, "cpu_ns", figures.cpu_ns);
    buf_printf(out, ",\"digest\":\"%s\",\"error_message\":", digest);
    if (result->error_message)
        put_message(result->error_message, out);
    else
        buf_puts(out, "null");
    put_int_or_null(out, "exit_code", decision->has_exit_code, decision->exit_code);
    buf_printf(out, ",\"format\":%d,\"id\":\"%s\",\"integrity\":\"%s\"", FORMAT, id,
               output_integrity_name(decision->integrity));
    if (result->label_count > 0) {
        buf_puts(out, ",\"labels\":");
        labels_put(result->labels, result->label_count, out);
    }
    buf_printf(out, ",\"language\":\"%s\"", language_name(result->language));
    result_put_u64(out, "memory_peak_bytes", figures.memory_peak_bytes);
    buf_printf(out, ",\"policy\":");
    json_quote(span_text(result->policy), out);
    buf_printf(out, ",\"profile\":\"%s\"", profile_name(result->profile));
    put_int_or_null(out, "signal", decision->has_signal, decision->signal);
    put_ns(out, "started_ns", result->started_ns);
    result_put_u64(out, "stderr_bytes", figures.stderr_bytes);
    result_put_u64(out, "stdout_bytes", figures.stdout_bytes);
    const struct stage_times *times = &result->times;
    buf_printf(out,
               ",\"times\":[\"%" PRId64 "\",\"%" PRId64 "\",\"%" PRId64 "\",\"%" PRId64
               "\",\"%" PRId64 "\"]",
               times->received, times->produced, times->validated, times->admitted,
               times->dequeued);
    buf_printf(out, ",\"verdict\":\"%s\"", verdict_name(decision->verdict));
    result_put_u64(out, "wall_ns", figures.wall_ns);
    buf_puts(out, "}");
}

int result_pack(const struct result *result, struct buf *out, struct err *err)
{
    BUF_AUTO struct buf meta = {.max = META_BYTES_MAX};
    BUF_AUTO struct buf evidence = {.max = EVIDENCE_BYTES_MAX};
    put_meta(result, &meta);
    if (meta.failed)
        return err_set(err, ERR_BUG, "result: metadata above %d bytes", META_BYTES_MAX);
    struct payload payload = {.meta = buf_span(&meta), .sections = 2};
    payload.section[0].kind = SECTION_STDOUT;
    payload.section[0].bytes = result->out;
    payload.section[1].kind = SECTION_STDERR;
    payload.section[1].bytes = result->errout;
    if (result->has_evidence) {
        if (evidence_encode(&result->evidence, &evidence, err))
            return -1;
        payload.section[payload.sections].kind = SECTION_EVIDENCE;
        payload.section[payload.sections++].bytes = buf_span(&evidence);
    }
    BUF_AUTO struct buf cases = {.max = RECORD_BYTES_MAX};
    if (result->case_count > 0) {
        cases_pack(result->cases, result->case_count, &cases);
        if (cases.failed)
            return err_set(err, ERR_BUG, "result: cases above %d bytes", RECORD_BYTES_MAX);
        payload.section[payload.sections].kind = SECTION_CASES;
        payload.section[payload.sections++].bytes = buf_span(&cases);
    }
    return payload_pack(&payload, out, err);
}

/* ---- reading: written by this system and verified by the AEAD tag, so cJSON's leniency does no
 * harm ---- */

static int wrong(const char *name, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "result: %s is missing or malformed", name);
}

const char *result_get_text(const cJSON *meta, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(meta, name));
    return text ? text : "";
}

/* At most what a reader of JSON takes for an integer. */
bool result_get_u64(const cJSON *item, uint64_t *out)
{
    if (cJSON_IsString(item))
        return span_u64(span_text(item->valuestring), out) == 0 && *out <= INT64_MAX;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
        item->valuedouble > (double)SAFE_INTEGER_MAX)
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool get_ns(const cJSON *item, int64_t *out)
{
    uint64_t value;
    if (!result_get_u64(item, &value))
        return false;
    *out = (int64_t)value;
    return true;
}

/* A number, or null when there is none. */
bool result_get_int(const cJSON *meta, const char *name, bool *has, int *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(meta, name);
    *has = cJSON_IsNumber(item);
    *out = *has ? item->valueint : 0;
    return *has || cJSON_IsNull(item);
}

static bool get_integrity(const cJSON *meta, enum output_integrity *out)
{
    for (int i = OUTPUT_COMPLETE; i <= OUTPUT_WRITE_ERROR; i++) {
        *out = (enum output_integrity)i;
        if (strcmp(output_integrity_name(*out), result_get_text(meta, "integrity")) == 0)
            return true;
    }
    return false;
}

int result_get_decision(const cJSON *meta, struct decision *out, struct err *err)
{
    if (verdict_find(span_text(result_get_text(meta, "verdict")), &out->verdict))
        return wrong("verdict", err);
    if (cause_find(span_text(result_get_text(meta, "cause")), &out->cause))
        return wrong("cause", err);
    if (!get_integrity(meta, &out->integrity))
        return wrong("integrity", err);
    if (!result_get_int(meta, "exit_code", &out->has_exit_code, &out->exit_code) ||
        !result_get_int(meta, "signal", &out->has_signal, &out->signal))
        return wrong("exit_code or signal", err);
    return 0;
}

static int get_names(const cJSON *meta, struct result *out, struct err *err)
{
    if (language_find(span_text(result_get_text(meta, "language")), &out->language))
        return wrong("language", err);
    if (profile_find(span_text(result_get_text(meta, "profile")), &out->profile))
        return wrong("profile", err);
    if (uuid_parse(span_text(result_get_text(meta, "id")), &out->id))
        return wrong("id", err);
    if (span_copy(span_text(result_get_text(meta, "policy")), out->policy, sizeof out->policy))
        return wrong("policy", err);
    if (hex_decode(span_text(result_get_text(meta, "digest")), out->digest, sizeof out->digest))
        return wrong("digest", err);
    return 0;
}

static int get_times(const cJSON *meta, struct result *out, struct err *err)
{
    const cJSON *times = cJSON_GetObjectItemCaseSensitive(meta, "times");
    int64_t *const fields[] = {&out->times.received, &out->times.produced, &out->times.validated,
                               &out->times.admitted, &out->times.dequeued};
    for (int i = 0; i < (int)COUNT_OF(fields); i++)
        if (!get_ns(cJSON_GetArrayItem(times, i), fields[i]))
            return wrong("times", err);
    if (!get_ns(cJSON_GetObjectItemCaseSensitive(meta, "started_ns"), &out->started_ns) ||
        !get_ns(cJSON_GetObjectItemCaseSensitive(meta, "completed_ns"), &out->completed_ns))
        return wrong("started_ns or completed_ns", err);
    return 0;
}

static int get_figures(const cJSON *meta, struct result_summary *out, struct err *err)
{
    const struct {
        const char *name;
        uint64_t *value;
    } figures[] = {{"cpu_ns", &out->cpu_ns},
                   {"wall_ns", &out->wall_ns},
                   {"memory_peak_bytes", &out->memory_peak_bytes},
                   {"stdout_bytes", &out->stdout_bytes},
                   {"stderr_bytes", &out->stderr_bytes}};
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        if (!result_get_u64(cJSON_GetObjectItemCaseSensitive(meta, figures[i].name),
                            figures[i].value))
            return wrong(figures[i].name, err);
    return 0;
}

/* Absent when there are none. */
static int get_labels(const cJSON *meta, struct arena *arena, struct result *out, struct err *err)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(meta, "labels"), *item;
    size_t count = (size_t)cJSON_GetArraySize(object);
    if (!object)
        return 0;
    if (!cJSON_IsObject(object) || count > LABELS_MAX)
        return wrong("labels", err);
    struct label *labels = arena_alloc(arena, (count + 1) * sizeof *labels);
    cJSON_ArrayForEach(item, object)
    {
        struct label *label = labels ? &labels[out->label_count++] : NULL;
        if (!cJSON_IsString(item))
            return wrong("labels", err);
        const char *name = arena_text(arena, span_text(item->string));
        const char *value = arena_text(arena, span_text(item->valuestring));
        if (!label || !name || !value)
            return err_set(err, ERR_NO_MEMORY, "result: no room for the labels");
        if (label > labels && strcmp(label[-1].name.data, name) >= 0)
            return wrong("the order of labels", err);
        *label = (struct label){span_text(name), span_text(value)};
    }
    out->labels = labels;
    return 0;
}

/* Everything but the evidence. arena may be NULL: then error_message and labels are not wanted. */
static int read_meta(struct span text, struct arena *arena, struct result *out,
                     struct result_summary *sum, struct err *err)
{
    JSON_AUTO cJSON *meta = text.len > 0 && text.len <= META_BYTES_MAX && utf8_valid(text)
                                ? cJSON_ParseWithLength(text.data, text.len)
                                : NULL;
    uint64_t format;
    if (!cJSON_IsObject(meta))
        return err_set(err, ERR_CORRUPT, "result: the metadata is no JSON object in UTF-8");
    if (!result_get_u64(cJSON_GetObjectItemCaseSensitive(meta, "format"), &format) ||
        format != FORMAT)
        return err_set(err, ERR_CORRUPT, "result: format is not %d", FORMAT);
    if (result_get_decision(meta, &out->verdict, err) || get_names(meta, out, err) ||
        get_times(meta, out, err) || get_figures(meta, sum, err))
        return -1;
    const cJSON *message = cJSON_GetObjectItemCaseSensitive(meta, "error_message");
    if (!cJSON_IsNull(message) && !cJSON_IsString(message))
        return wrong("error_message", err);
    if (arena && get_labels(meta, arena, out, err))
        return -1;
    if (arena && cJSON_IsString(message)) {
        out->error_message = arena_text(arena, span_text(message->valuestring));
        if (!out->error_message)
            return err_set(err, ERR_NO_MEMORY, "result: no room for the message");
    }
    return 0;
}

int result_unpack(struct span payload, struct arena *arena, struct result *out, struct err *err)
{
    struct payload parts;
    struct result made = {.has_evidence = false};
    struct result_summary sum;
    if (payload_unpack(payload, &parts, err) || read_meta(parts.meta, arena, &made, &sum, err))
        return -1;
    made.out = payload_section(&parts, SECTION_STDOUT);
    made.errout = payload_section(&parts, SECTION_STDERR);
    struct span evidence = payload_section(&parts, SECTION_EVIDENCE);
    made.has_evidence = evidence.data != NULL;
    if (made.has_evidence && evidence_decode(evidence, &made.evidence, err))
        return -1;
    struct span cases = payload_section(&parts, SECTION_CASES);
    if (cases.data && cases_unpack(cases, arena, &made, err))
        return -1;
    *out = made;
    return 0;
}

int result_summary(struct span payload, struct result_summary *out, struct err *err)
{
    struct payload parts;
    struct result result;
    struct result_summary sum;
    if (payload_unpack(payload, &parts, err) || read_meta(parts.meta, NULL, &result, &sum, err))
        return -1;
    sum.verdict = result.verdict.verdict;
    sum.cause = result.verdict.cause;
    sum.language = result.language;
    sum.profile = result.profile;
    sum.has_exit_code = result.verdict.has_exit_code;
    sum.exit_code = result.verdict.exit_code;
    sum.has_signal = result.verdict.has_signal;
    sum.signal = result.verdict.signal;
    sum.received_ns = result.times.received;
    sum.started_ns = result.started_ns;
    sum.completed_ns = result.completed_ns;
    *out = sum;
    return 0;
}

int result_canonical(struct span payload, struct buf *out, struct err *err)
{
    struct payload parts;
    struct result result;
    struct result_summary sum;
    if (payload_unpack(payload, &parts, err) || read_meta(parts.meta, NULL, &result, &sum, err))
        return -1;
    struct span text = payload_section(&parts, SECTION_STDOUT);
    struct span errors = payload_section(&parts, SECTION_STDERR);
    char id[UUID_TEXT];
    uuid_format(&result.id, id);
    buf_printf(out, "{\"cause\":\"%s\"", cause_name(result.verdict.cause));
    put_int_or_null(out, "exit_code", result.verdict.has_exit_code, result.verdict.exit_code);
    buf_printf(out, ",\"id\":\"%s\",\"integrity\":\"%s\"", id,
               output_integrity_name(result.verdict.integrity));
    put_int_or_null(out, "signal", result.verdict.has_signal, result.verdict.signal);
    buf_printf(out, ",\"verdict\":\"%s\"}\n%zu\n", verdict_name(result.verdict.verdict), text.len);
    buf_add(out, text.data, text.len);
    buf_printf(out, "\n%zu\n", errors.len);
    buf_add(out, errors.data, errors.len);
    struct span cases = payload_section(&parts, SECTION_CASES);
    if (cases.data && cases_canonical(cases, out, err))
        return -1;
    return out->failed ? err_set(err, ERR_NO_MEMORY, "canonical result: the buffer is full") : 0;
}
