/* The evidence as JSON. One table row per member of the structs gives name, kind and range; encoder
 * and decoder walk the same tables, so that they cannot differ. The form:
 *   - integers above 2^53 - 1 are decimal strings, all others numbers;
 *   - a phase that did not run is null; controls and actions are arrays of names;
 *   - the two members of a template are there when the run was a fork of one;
 *   - every other member is present and no other: a missing, repeated or unknown one is an error;
 *     records that were stored before a member was there are read as what was then true.
 * The encoder writes text directly (exact integers, no allocation per member), the decoder uses
 * cJSON. Never judges: a decoded value is well-formed, not plausible. */
#include "schemas/evidence.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#define FORMAT 1
#define SAFE_INTEGER_MAX ((UINT64_C(1) << 53) - 1)
#define JSON_BYTES_MAX (64 * 1024)

enum kind { KIND_U64, KIND_U32, KIND_I32, KIND_I64, KIND_BOOL, KIND_TEXT };

struct member {
    const char *name;
    enum kind kind;
    size_t offset, size; /* of the struct's member */
    int64_t min;         /* of KIND_I32 and KIND_I64; the maximum is the type's */
    int64_t max;         /* 0: the type's own */
    const char *before;  /* KIND_TEXT: the value in records without it; NULL = required */
};

#define MEMBER(type, field, kind)                                                                  \
    {                                                                                              \
#field, kind, offsetof(struct type, field), sizeof(((struct type *)0)->field), 0, 0, NULL  \
    }
#define MEMBER_RANGE(type, field, kind, low, high)                                                 \
    {                                                                                              \
#field, kind, offsetof(struct type, field), sizeof(((struct type *)0)->field), low, high,  \
            NULL                                                                                   \
    }
#define MEMBER_LATER(type, field, text)                                                            \
    {                                                                                              \
#field, KIND_TEXT, offsetof(struct type, field), sizeof(((struct type *)0)->field), 0, 0,  \
            text                                                                                   \
    }

static const struct member limits_members[] = {
    MEMBER(limits, memory_bytes, KIND_U64), MEMBER(limits, cpu_ms, KIND_U64),
    MEMBER(limits, wall_ms, KIND_U64),      MEMBER(limits, processes, KIND_U64),
    MEMBER(limits, open_files, KIND_U64),   MEMBER(limits, file_bytes, KIND_U64),
    MEMBER(limits, tmp_bytes, KIND_U64),    MEMBER(limits, output_bytes, KIND_U64),
    MEMBER(limits, stack_bytes, KIND_U64),
};

static const struct member event_members[] = {
    MEMBER(seccomp_event, arch, KIND_U32),
    MEMBER_RANGE(seccomp_event, number, KIND_I32, INT32_MIN, INT32_MAX),
    MEMBER(seccomp_event, name, KIND_TEXT),
    MEMBER(seccomp_event, instruction_pointer, KIND_U64),
    MEMBER(seccomp_event, pid, KIND_U32),
};

static const struct member phase_members[] = {
    MEMBER(phase_evidence, reported, KIND_BOOL),
    MEMBER(phase_evidence, exited, KIND_BOOL),
    MEMBER_RANGE(phase_evidence, exit_code, KIND_I32, 0, 255),
    MEMBER(phase_evidence, signaled, KIND_BOOL),
    MEMBER_RANGE(phase_evidence, signal, KIND_I32, 0, 127),
    MEMBER(phase_evidence, cpu_ns, KIND_U64),
    MEMBER(phase_evidence, wall_ns, KIND_U64),
    MEMBER(phase_evidence, memory_peak_bytes, KIND_U64),
    MEMBER(phase_evidence, rss_max_bytes, KIND_U64),
    MEMBER(phase_evidence, oom_events, KIND_U64),
    MEMBER(phase_evidence, oom_kills, KIND_U64),
    MEMBER(phase_evidence, pids_peak, KIND_U64),
    MEMBER(phase_evidence, pids_max, KIND_U64),
    MEMBER(phase_evidence, pids_denied, KIND_U64),
    MEMBER(phase_evidence, stdout_bytes, KIND_U64),
    MEMBER(phase_evidence, stderr_bytes, KIND_U64),
    MEMBER(phase_evidence, stdout_cut, KIND_BOOL),
    MEMBER(phase_evidence, stderr_cut, KIND_BOOL),
    MEMBER(phase_evidence, group_empty, KIND_BOOL),
    MEMBER(phase_evidence, zombies, KIND_U64),
    MEMBER(phase_evidence, survivors, KIND_U64),
    MEMBER(phase_evidence, seccomp_count, KIND_U64),
};

static const struct member template_members[] = {
    MEMBER(evidence, template_generation, KIND_U64),
    MEMBER(evidence, template_jobs, KIND_U64),
};

static const struct member stayed_members[] = {
    MEMBER(evidence, sandbox_runs, KIND_U64),
};

static const struct member evidence_members[] = {
    MEMBER(evidence, setup_ok, KIND_BOOL),
    MEMBER(evidence, setup_error, KIND_TEXT),
    MEMBER(evidence, permissive, KIND_BOOL),
    MEMBER(evidence, ns_pid, KIND_U64),
    MEMBER(evidence, ns_mnt, KIND_U64),
    MEMBER(evidence, ns_net, KIND_U64),
    MEMBER(evidence, ns_ipc, KIND_U64),
    MEMBER(evidence, ns_uts, KIND_U64),
    MEMBER(evidence, ns_cgroup, KIND_U64),
    MEMBER(evidence, ns_user, KIND_U64),
    MEMBER(evidence, filter_sha256, KIND_TEXT),
    MEMBER(evidence, toolchain, KIND_TEXT),
    MEMBER(evidence, tier, KIND_TEXT),
    MEMBER_LATER(evidence, compile_cache, "off"),
    MEMBER(evidence, cgroup_backend, KIND_TEXT),
    MEMBER_RANGE(evidence, started_wall_ns, KIND_I64, 0, INT64_MAX),
    MEMBER_RANGE(evidence, ended_wall_ns, KIND_I64, 0, INT64_MAX),
    MEMBER(evidence, setup_ns, KIND_U64),
    MEMBER(evidence, teardown_ns, KIND_U64),
};

static const char *const control_names[CONTROL_COUNT] = {
#define CONTROL(name, required) #name,
#include "schemas/controls.def"
#undef CONTROL
};
_Static_assert(CONTROL_COUNT <= 32, "controls are bits of a uint32_t");

static const char *const action_names[] = {"kill_cpu_limit",     "kill_wall_limit",
                                           "kill_output_limit",  "kill_memory_limit",
                                           "kill_seccomp_flood", "kill_cancelled"};

const char *control_name(enum control control)
{
    CHECK((unsigned)control < CONTROL_COUNT);
    return control_names[control];
}

const char *judge_action_name(enum judge_action action)
{
    for (size_t i = 0; i < COUNT_OF(action_names); i++)
        if (action == (enum judge_action)(1U << i))
            return action_names[i];
    CHECK(!"one bit of enum judge_action");
    return "";
}

const struct phase_evidence *evidence_phase(const struct evidence *ev)
{
    return ev->run.ran || ev->run.actions != 0 ? &ev->run : &ev->compile;
}

/* ---- encoder ---- */

static void put_u64(struct buf *out, uint64_t value)
{
    buf_printf(out, value > SAFE_INTEGER_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, value);
}

/* Our own texts are ASCII; anything else (a garbled message) becomes '?', so that lengths hold. */
static void put_text(struct buf *out, const char *text, size_t size)
{
    char clean[256];
    CHECK(size <= sizeof clean);
    size_t len = strnlen(text, size - 1);
    for (size_t i = 0; i < len; i++)
        clean[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    json_quote(span_of(clean, len), out);
}

static void put_member(struct buf *out, const struct member *member, const void *base)
{
    const char *at = (const char *)base + member->offset;
    buf_printf(out, "\"%s\":", member->name);
    switch (member->kind) {
    case KIND_U64:
        put_u64(out, *(const uint64_t *)(const void *)at);
        break;
    case KIND_U32:
        put_u64(out, *(const uint32_t *)(const void *)at);
        break;
    case KIND_I32:
        buf_printf(out, "%" PRId32, *(const int32_t *)(const void *)at);
        break;
    case KIND_I64:
        put_u64(out, (uint64_t) * (const int64_t *)(const void *)at);
        break;
    case KIND_BOOL:
        buf_puts(out, *(const bool *)at ? "true" : "false");
        break;
    case KIND_TEXT:
        put_text(out, at, member->size);
        break;
    }
}

static void put_members(struct buf *out, const struct member *members, size_t count,
                        const void *base)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_puts(out, ",");
        put_member(out, &members[i], base);
    }
}

static void put_bits(struct buf *out, const char *key, const char *const *names, size_t count,
                     uint32_t bits)
{
    const char *comma = "";
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < count; i++) {
        if ((bits >> i & 1U) != 0) {
            buf_printf(out, "%s\"%s\"", comma, names[i]);
            comma = ",";
        }
    }
    buf_puts(out, "]");
}

static size_t events_kept(const struct phase_evidence *phase)
{
    return phase->seccomp_count < SECCOMP_EVENTS_MAX ? phase->seccomp_count : SECCOMP_EVENTS_MAX;
}

static void put_phase(struct buf *out, const char *key, const struct phase_evidence *phase)
{
    /* One that never ran: nothing, or the list of what the judge did to it before. */
    if (!phase->ran && phase->actions != 0)
        return put_bits(out, key, action_names, COUNT_OF(action_names), phase->actions);
    buf_printf(out, ",\"%s\":%s", key, phase->ran ? "{" : "null");
    if (!phase->ran)
        return;
    put_members(out, phase_members, COUNT_OF(phase_members), phase);
    put_bits(out, "actions", action_names, COUNT_OF(action_names), phase->actions);
    buf_puts(out, ",\"limits\":{");
    put_members(out, limits_members, COUNT_OF(limits_members), &phase->limits);
    buf_puts(out, "},\"seccomp\":[");
    for (size_t i = 0; i < events_kept(phase); i++) {
        const struct seccomp_event *event = &phase->seccomp[i];
        buf_puts(out, i > 0 ? ",{" : "{");
        put_members(out, event_members, COUNT_OF(event_members), event);
        buf_puts(out, ",\"args\":[");
        for (size_t arg = 0; arg < COUNT_OF(event->args); arg++) {
            buf_puts(out, arg > 0 ? "," : "");
            put_u64(out, event->args[arg]);
        }
        buf_puts(out, "]}");
    }
    buf_puts(out, "]}");
}

int evidence_encode(const struct evidence *ev, struct buf *out, struct err *err)
{
    buf_printf(out, "{\"format\":%d,", FORMAT);
    put_members(out, evidence_members, COUNT_OF(evidence_members), ev);
    if (ev->template_generation) {
        buf_puts(out, ",");
        put_members(out, template_members, COUNT_OF(template_members), ev);
    }
    if (ev->sandbox_runs) {
        buf_puts(out, ",");
        put_members(out, stayed_members, COUNT_OF(stayed_members), ev);
    }
    put_bits(out, "controls_applied", control_names, CONTROL_COUNT, ev->controls_applied);
    put_bits(out, "controls_missing", control_names, CONTROL_COUNT, ev->controls_missing);
    put_phase(out, "compile", &ev->compile);
    put_phase(out, "run", &ev->run);
    buf_puts(out, ",\"collection_errors\":[");
    const char *comma = "";
    for (size_t i = 0; i < COUNT_OF(ev->collection_errors); i++) {
        if (ev->collection_errors[i][0] == '\0')
            continue;
        buf_puts(out, comma);
        put_text(out, ev->collection_errors[i], sizeof ev->collection_errors[i]);
        comma = ",";
    }
    buf_puts(out, "]}");
    if (out->failed)
        return err_set(err, ERR_TOO_LARGE, "evidence: does not fit into %zu bytes", out->max);
    return 0;
}

/* ---- decoder ---- */

static int wrong(struct err *err, const char *name, const char *rule)
{
    return err_set(err, ERR_CORRUPT, "evidence: %s: %s", name, rule);
}

static int get_u64(const cJSON *item, const char *name, uint64_t max, uint64_t *out,
                   struct err *err)
{
    uint64_t value = 0;
    if (cJSON_IsNumber(item)) {
        double number = item->valuedouble;
        if (!(number >= 0 && number <= (double)SAFE_INTEGER_MAX))
            return wrong(err, name, "number outside 0 .. 2^53 - 1");
        value = (uint64_t)number;
        if ((double)value != number)
            return wrong(err, name, "not an integer");
    } else if (cJSON_IsString(item)) {
        if (span_u64(span_text(item->valuestring), &value) != 0 || value <= SAFE_INTEGER_MAX ||
            item->valuestring[0] == '0')
            return wrong(err, name, "string must be a decimal integer above 2^53 - 1");
    } else {
        return wrong(err, name, "integer expected");
    }
    if (value > max)
        return wrong(err, name, "too large");
    *out = value;
    return 0;
}

static int get_i32(const cJSON *item, const struct member *member, int32_t *out, struct err *err)
{
    if (!cJSON_IsNumber(item))
        return wrong(err, member->name, "number expected");
    double number = item->valuedouble;
    if (!(number >= (double)member->min && number <= (double)member->max))
        return wrong(err, member->name, "number out of range");
    *out = (int32_t)number;
    return (double)*out == number ? 0 : wrong(err, member->name, "not an integer");
}

static int get_text(const cJSON *item, const char *name, char *out, size_t size, struct err *err)
{
    if (!cJSON_IsString(item))
        return wrong(err, name, "text expected");
    for (const char *c = item->valuestring; *c != '\0'; c++)
        if (*c < 0x20 || *c >= 0x7f)
            return wrong(err, name, "printable ASCII expected");
    if (span_copy(span_text(item->valuestring), out, size) != 0)
        return wrong(err, name, "text too long");
    return 0;
}

static int get_member(const cJSON *item, const struct member *member, void *base, struct err *err)
{
    char *at = (char *)base + member->offset;
    uint64_t value = 0;
    switch (member->kind) {
    case KIND_U64:
        return get_u64(item, member->name, UINT64_MAX, (uint64_t *)(void *)at, err);
    case KIND_U32:
        if (get_u64(item, member->name, UINT32_MAX, &value, err) != 0)
            return -1;
        *(uint32_t *)(void *)at = (uint32_t)value;
        return 0;
    case KIND_I64:
        if (get_u64(item, member->name, INT64_MAX, &value, err) != 0)
            return -1;
        *(int64_t *)(void *)at = (int64_t)value;
        return 0;
    case KIND_I32:
        return get_i32(item, member, (int32_t *)(void *)at, err);
    case KIND_BOOL:
        if (!cJSON_IsBool(item))
            return wrong(err, member->name, "true or false expected");
        *(bool *)at = cJSON_IsTrue(item) != 0;
        return 0;
    case KIND_TEXT:
        return get_text(item, member->name, at, member->size, err);
    }
    return wrong(err, member->name, "unknown kind");
}

/* With every wanted name present and the number of names right, none is repeated or unknown. */
static int get_members(const cJSON *object, const char *what, const struct member *members,
                       size_t count, size_t others, void *base, struct err *err)
{
    if (!cJSON_IsObject(object))
        return wrong(err, what, "object expected");
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct member *member = &members[i];
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, member->name);
        if (!item && !member->before)
            return wrong(err, member->name, "missing");
        if (!item)
            snprintf((char *)base + member->offset, member->size, "%s", member->before);
        else if (get_member(item, member, base, err) != 0)
            return -1;
        found += item != NULL;
    }
    if ((size_t)cJSON_GetArraySize(object) != found + others)
        return wrong(err, what, "members repeated or unknown");
    return 0;
}

/* An array with at most max items; NULL with err set otherwise. */
static const cJSON *get_array(const cJSON *object, const char *key, size_t max, struct err *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsArray(array) || (size_t)cJSON_GetArraySize(array) > max) {
        (void)wrong(err, key, "array expected, or too many items");
        return NULL;
    }
    return array;
}

static int get_bits(const cJSON *object, const char *key, const char *const *names, size_t count,
                    uint32_t *out, struct err *err)
{
    const cJSON *item = NULL, *array = get_array(object, key, count, err);
    if (!array)
        return -1;
    cJSON_ArrayForEach(item, array)
    {
        size_t i = 0;
        while (i < count && !(cJSON_IsString(item) && strcmp(item->valuestring, names[i]) == 0))
            i++;
        if (i == count || (*out >> i & 1U) != 0)
            return wrong(err, key, "unknown or repeated name");
        *out |= UINT32_C(1) << i;
    }
    return 0;
}

static int get_event(const cJSON *object, struct seccomp_event *event, struct err *err)
{
    if (get_members(object, "seccomp", event_members, COUNT_OF(event_members), 1, event, err) != 0)
        return -1;
    const cJSON *item = NULL, *args = get_array(object, "args", COUNT_OF(event->args), err);
    if (!args)
        return -1;
    size_t i = 0;
    cJSON_ArrayForEach(item, args)
    {
        if (get_u64(item, "args", UINT64_MAX, &event->args[i++], err) != 0)
            return -1;
    }
    return i == COUNT_OF(event->args) ? 0 : wrong(err, "args", "six integers expected");
}

static int get_phase(const cJSON *root, const char *key, struct phase_evidence *phase,
                     struct err *err)
{
    const cJSON *item = NULL, *object = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!object)
        return wrong(err, key, "missing");
    if (cJSON_IsNull(object))
        return 0;
    if (cJSON_GetArraySize(object) > 0 && cJSON_IsArray(object))
        return get_bits(root, key, action_names, COUNT_OF(action_names), &phase->actions, err);
    phase->ran = true;
    if (get_members(object, key, phase_members, COUNT_OF(phase_members), 3, phase, err) != 0 ||
        get_bits(object, "actions", action_names, COUNT_OF(action_names), &phase->actions, err) !=
            0 ||
        get_members(cJSON_GetObjectItemCaseSensitive(object, "limits"), "limits", limits_members,
                    COUNT_OF(limits_members), 0, &phase->limits, err) != 0)
        return -1;
    const cJSON *events = get_array(object, "seccomp", SECCOMP_EVENTS_MAX, err);
    if (!events)
        return -1;
    if ((size_t)cJSON_GetArraySize(events) != events_kept(phase))
        return wrong(err, "seccomp", "number of events does not fit seccomp_count");
    size_t i = 0;
    cJSON_ArrayForEach(item, events)
    {
        if (get_event(item, &phase->seccomp[i++], err) != 0)
            return -1;
    }
    return 0;
}

static int get_evidence(const cJSON *root, struct evidence *ev, struct err *err)
{
    /* others: format, two lists of controls, two phases, collection_errors */
    const size_t others = 6, own = COUNT_OF(evidence_members);
    bool is_fork = cJSON_HasObjectItem(root, template_members[0].name);
    bool stayed = cJSON_HasObjectItem(root, stayed_members[0].name);
    size_t forked = is_fork ? COUNT_OF(template_members) : 0;
    size_t again = stayed ? COUNT_OF(stayed_members) : 0, all = own + forked + again + others;
    if (get_members(root, "document", evidence_members, own, all - own, ev, err) != 0 ||
        (is_fork &&
         get_members(root, "document", template_members, forked, all - forked, ev, err) != 0) ||
        (stayed && get_members(root, "document", stayed_members, again, all - again, ev, err) != 0))
        return -1;
    if (is_fork && ev->template_generation == 0)
        return wrong(err, template_members[0].name, "0 is left out");
    if (stayed && ev->sandbox_runs == 0)
        return wrong(err, stayed_members[0].name, "0 is left out");
    uint64_t format = 0;
    if (get_u64(cJSON_GetObjectItemCaseSensitive(root, "format"), "format", FORMAT, &format, err) !=
            0 ||
        format != FORMAT)
        return wrong(err, "format", "unknown");
    if (get_bits(root, "controls_applied", control_names, CONTROL_COUNT, &ev->controls_applied,
                 err) != 0 ||
        get_bits(root, "controls_missing", control_names, CONTROL_COUNT, &ev->controls_missing,
                 err) != 0 ||
        get_phase(root, "compile", &ev->compile, err) != 0 ||
        get_phase(root, "run", &ev->run, err) != 0)
        return -1;
    const cJSON *item = NULL, *errors = get_array(root, "collection_errors",
                                                  COUNT_OF(ev->collection_errors), err);
    if (!errors)
        return -1;
    size_t i = 0;
    cJSON_ArrayForEach(item, errors)
    {
        if (get_text(item, "collection_errors", ev->collection_errors[i],
                     sizeof ev->collection_errors[i], err) != 0)
            return -1;
        if (ev->collection_errors[i++][0] == '\0')
            return wrong(err, "collection_errors", "empty text");
    }
    return 0;
}

int evidence_decode(struct span json, struct evidence *out, struct err *err)
{
    if (json.len == 0 || json.len > JSON_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "evidence: empty or above %d bytes", JSON_BYTES_MAX);
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(json.data, json.len, &end, 0);
    if (!root)
        return err_set(err, ERR_CORRUPT, "evidence: not JSON");
    struct evidence ev = {0};
    int result = 0;
    if (end != (const char *)json.data + json.len)
        result = wrong(err, "document", "something follows it");
    else
        result = get_evidence(root, &ev, err);
    cJSON_Delete(root);
    if (result == 0)
        *out = ev;
    return result;
}
