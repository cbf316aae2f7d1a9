/* The attempt record's JSON (webhook.h): written by deliver, read by persist and deliver. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "schemas/webhook.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name, *text;
} errors[ATTEMPT_ERROR_COUNT] = {
#define ATTEMPT_ERROR(name, text) [ATTEMPT_##name] = {#name, text},
#include "schemas/attempt_errors.def"
#undef ATTEMPT_ERROR
};
static const char *const outcomes[] = {
    [OUTCOME_DELIVERED] = "delivered", [OUTCOME_RETRY] = "retry",   [OUTCOME_DEAD] = "dead",
    [OUTCOME_DROPPED] = "dropped",     [OUTCOME_PARKED] = "parked",
};

const char *attempt_error_name(enum attempt_error error)
{
    CHECK((unsigned)error < ATTEMPT_ERROR_COUNT);
    return errors[error].name;
}

const char *attempt_error_text(enum attempt_error error)
{
    CHECK((unsigned)error < ATTEMPT_ERROR_COUNT);
    return errors[error].text;
}

const char *attempt_outcome_name(enum attempt_outcome outcome)
{
    CHECK((unsigned)outcome < COUNT_OF(outcomes));
    return outcomes[outcome];
}

int webhook_attempt_encode(const struct webhook_attempt *attempt, struct buf *out, struct err *err)
{
    buf_puts(out, "{\"address\":");
    json_quote(span_text(attempt->address), out);
    buf_printf(out,
               ",\"at\":%" PRId64
               ",\"endpoint_action\":\"%s\",\"error\":\"%s\",\"latency_us\":%" PRId64
               ",\"next_due\":%" PRId64 ",\"outcome\":\"%s\",\"port\":%u,\"reason\":",
               attempt->at_ms, attempt->disable_endpoint ? "disable" : "none",
               attempt_error_name(attempt->error), attempt->latency_us, attempt->next_due_ms,
               attempt_outcome_name(attempt->outcome), attempt->port);
    json_quote(span_text(attempt->reason), out);
    buf_printf(out,
               ",\"source\":{\"offset\":%" PRId64 ",\"partition\":%" PRId32
               ",\"topic\":\"%s\"},\"status\":%u}",
               attempt->source_offset, attempt->source_partition, topic_spec(attempt->source)->name,
               attempt->status);
    return out->failed ? err_set(err, ERR_NO_MEMORY, "attempt: the buffer is full") : 0;
}

static int wrong(const char *name, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "attempt: %s is missing or malformed", name);
}

static const char *text_of(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return text ? text : "";
}

static bool take_number(const cJSON *json, const char *name, int64_t max, int64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > (double)max)
        return false;
    *out = (int64_t)item->valuedouble;
    return true;
}

static bool take_names(const cJSON *json, struct webhook_attempt *out)
{
    const char *error = text_of(json, "error"), *outcome = text_of(json, "outcome");
    unsigned e = 0, o = 0;
    while (e < ATTEMPT_ERROR_COUNT && strcmp(errors[e].name, error) != 0)
        e++;
    while (o < COUNT_OF(outcomes) && strcmp(outcomes[o], outcome) != 0)
        o++;
    out->error = (enum attempt_error)e;
    out->outcome = (enum attempt_outcome)o;
    return e < ATTEMPT_ERROR_COUNT && o < COUNT_OF(outcomes);
}

/* Anything else a database could refuse, and one such record would stall all behind it. */
static bool take_plain(const cJSON *json, const char *name, char *out, size_t size)
{
    struct span text = span_text(text_of(json, name));
    for (size_t i = 0; i < text.len; i++)
        if (((const char *)text.data)[i] < ' ' || ((const char *)text.data)[i] > '~')
            return false;
    return span_copy(text, out, size) == 0;
}

#define EXACT_MAX INT64_C(9007199254740991) /* 2^53 - 1 */

static int take(const cJSON *json, struct webhook_attempt *out, struct err *err)
{
    const cJSON *source = cJSON_GetObjectItemCaseSensitive(json, "source");
    int64_t partition = 0, port = 0, status = 0;
    if (topic_find(span_text(text_of(source, "topic")), &out->source) ||
        !take_number(source, "partition", INT32_MAX, &partition) ||
        !take_number(source, "offset", EXACT_MAX, &out->source_offset))
        return wrong("source", err);
    if (!take_names(json, out))
        return wrong("error or outcome", err);
    if (!take_number(json, "at", EXACT_MAX, &out->at_ms) || out->at_ms == 0)
        return wrong("at", err);
    if (!take_number(json, "port", UINT16_MAX, &port) || !take_number(json, "status", 999, &status))
        return wrong("port or status", err);
    if (!take_number(json, "latency_us", EXACT_MAX, &out->latency_us))
        return wrong("latency_us", err);
    if (!take_number(json, "next_due", EXACT_MAX, &out->next_due_ms))
        return wrong("next_due", err);
    if (!take_plain(json, "address", out->address, sizeof out->address))
        return wrong("address", err);
    if (!take_plain(json, "reason", out->reason, sizeof out->reason))
        return wrong("reason", err);
    out->source_partition = (int32_t)partition;
    out->port = (uint16_t)port;
    out->status = (uint16_t)status;
    out->disable_endpoint = strcmp(text_of(json, "endpoint_action"), "disable") == 0;
    return 0;
}

int webhook_attempt_decode(struct span json, struct webhook_attempt *out, struct err *err)
{
    *out = (struct webhook_attempt){.at_ms = 0};
    cJSON *root = json.len <= ATTEMPT_BYTES_MAX ? cJSON_ParseWithLength(json.data, json.len) : NULL;
    int rc = cJSON_IsObject(root) ? take(root, out, err) : wrong("the whole", err);
    cJSON_Delete(root);
    return rc;
}
