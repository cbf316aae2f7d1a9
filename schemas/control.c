/* Control events as JSON: written here, read here, so cJSON. Sorted keys, compact. */
#include "schemas/control.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#define EVENT_BYTES_MAX 2048

static const char *const names[CONTROL_EVENT_COUNT] = {
    [CONTROL_EVENT_project_created] = "project.created",
    [CONTROL_EVENT_project_changed] = "project.changed",
    [CONTROL_EVENT_key_created] = "key.created",
    [CONTROL_EVENT_key_revoked] = "key.revoked",
};

const char *control_kind_name(enum control_kind kind)
{
    CHECK((unsigned)kind < CONTROL_EVENT_COUNT);
    return names[kind];
}

static bool of_project(enum control_kind kind)
{
    return kind == CONTROL_EVENT_project_created || kind == CONTROL_EVENT_project_changed;
}

int control_encode(const struct control_event *event, struct buf *out, struct err *err)
{
    char project[UUID_TEXT], key[UUID_TEXT], hash[HEX_SIZE(32)];
    uuid_format(&event->project, project);
    uuid_format(&event->key, key);
    hex_encode(event->key_sha256, sizeof event->key_sha256, hash);
    buf_printf(out, "{\"at_ns\":\"%" PRId64 "\"", event->at_ns);
    if (of_project(event->kind))
        buf_printf(out,
                   ",\"deleted\":%s,\"event\":\"%s\",\"plan\":\"%s\",\"project\":\"%s\","
                   "\"retention_class\":%u,\"taxonomy\":\"%s\"}",
                   event->deleted ? "true" : "false", control_kind_name(event->kind),
                   plan_get(event->plan)->name, project, event->retention_class,
                   event->taxonomy == TAXONOMY_EXTENDED ? "extended" : "standard");
    else
        buf_printf(out,
                   ",\"event\":\"%s\",\"key\":\"%s\",\"key_sha256\":\"%s\",\"kind\":\"%s\","
                   "\"project\":\"%s\"}",
                   control_kind_name(event->kind), key, hash, event->test_key ? "test" : "live",
                   project);
    return out->failed ? err_set(err, ERR_NO_MEMORY, "control event: the buffer is full") : 0;
}

static const char *text_of(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return text ? text : "";
}

static int wrong(const char *name, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "control event: %s is missing or malformed", name);
}

static int decode_project(const cJSON *json, struct control_event *out, struct err *err)
{
    const struct plan *plan = plan_find(span_text(text_of(json, "plan")));
    const cJSON *class_days = cJSON_GetObjectItemCaseSensitive(json, "retention_class");
    const char *taxonomy = text_of(json, "taxonomy");
    if (!plan)
        return wrong("plan", err);
    if (!cJSON_IsNumber(class_days) || class_days->valueint < 1 || class_days->valueint > 365)
        return wrong("retention_class", err);
    if (strcmp(taxonomy, "standard") != 0 && strcmp(taxonomy, "extended") != 0)
        return wrong("taxonomy", err);
    out->plan = (enum plan_id)(plan - plan_get((enum plan_id)0));
    out->retention_class = (uint16_t)class_days->valueint;
    out->taxonomy = taxonomy[0] == 'e' ? TAXONOMY_EXTENDED : TAXONOMY_STANDARD;
    out->deleted = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "deleted"));
    return 0;
}

static int decode_key(const cJSON *json, struct control_event *out, struct err *err)
{
    if (uuid_parse(span_text(text_of(json, "key")), &out->key))
        return wrong("key", err);
    if (hex_decode(span_text(text_of(json, "key_sha256")), out->key_sha256, sizeof out->key_sha256))
        return wrong("key_sha256", err);
    out->test_key = strcmp(text_of(json, "kind"), "test") == 0;
    return 0;
}

static int decode(const cJSON *json, struct control_event *out, struct err *err)
{
    uint64_t at_ns;
    const char *name = text_of(json, "event");
    int kind = 0;
    if (!cJSON_IsObject(json) || !name[0])
        return err_set(err, ERR_CORRUPT, "control event: not a JSON object with an event");
    while (kind < CONTROL_EVENT_COUNT && strcmp(names[kind], name) != 0)
        kind++;
    if (kind == CONTROL_EVENT_COUNT)
        return err_set(err, ERR_NOT_FOUND, "control event: of a kind not known here");
    out->kind = (enum control_kind)kind;
    if (uuid_parse(span_text(text_of(json, "project")), &out->project))
        return wrong("project", err);
    if (span_u64(span_text(text_of(json, "at_ns")), &at_ns) || at_ns > INT64_MAX)
        return wrong("at_ns", err);
    out->at_ns = (int64_t)at_ns;
    return of_project(out->kind) ? decode_project(json, out, err) : decode_key(json, out, err);
}

int control_decode(struct span json, struct control_event *out, struct err *err)
{
    struct control_event event = {.kind = CONTROL_EVENT_COUNT};
    cJSON *root = json.len > 0 && json.len <= EVENT_BYTES_MAX
                      ? cJSON_ParseWithLength(json.data, json.len)
                      : NULL;
    int failed = decode(root, &event, err);
    cJSON_Delete(root);
    if (!failed)
        *out = event;
    return failed;
}

struct envelope control_envelope(const struct control_event *event, const struct uuid *id,
                                 const char *origin)
{
    struct envelope env = {
        .type = RECORD_control, .version = 1, .id = *id, .project = event->project};
    snprintf(env.origin, sizeof env.origin, "%s", origin);
    return env;
}
