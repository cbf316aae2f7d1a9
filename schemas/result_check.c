/* See result_check.h. The check of members is the writer's own work turned round: the body is made
 * again from what was read, and what differs was altered. */
#include "schemas/result_check.h"
#include "lib/base/clock.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include <jansson.h>
#include <stdio.h>

#define ARENA_BYTES_MAX (32 * 1024 * 1024)
#define RESULT_BODY_BYTES_MAX (64 * 1024 * 1024)
#define EVIDENCE_BYTES_MAX (64 * 1024)

static int wrong(const char *name, const char *rule, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "result: %s: %s", name, rule);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static struct span span_of_json(const json_t *text)
{
    return span_of(json_string_value(text), json_string_length(text));
}

static int get_int(const json_t *body, const char *name, bool *has, int *out, struct err *err)
{
    const json_t *item = json_object_get(body, name);
    *has = json_is_integer(item);
    json_int_t value = *has ? json_integer_value(item) : 0;
    if (!item || (!*has && !json_is_null(item)) || value < 0 || value > 255)
        return wrong(name, "integer from 0 to 255 or null expected", err);
    *out = (int)value;
    return 0;
}

static int get_time(const json_t *object, const char *name, int64_t *out, struct err *err)
{
    const json_t *item = json_object_get(object, name);
    *out = 0;
    if (json_is_null(item))
        return 0;
    return rfc3339_parse(text_of(object, name), out) == 0
               ? 0
               : wrong(name, "RFC 3339 in UTC with six decimals, or null, expected", err);
}

static int get_output(const json_t *body, const char *name, struct arena *arena, struct span *out,
                      struct err *err)
{
    char twin[32];
    snprintf(twin, sizeof twin, "%s_base64", name);
    const json_t *text = json_object_get(body, name), *exact = json_object_get(body, twin);
    if (!json_is_string(text) || (exact && !json_is_string(exact)))
        return wrong(name, "text expected", err);
    *out = span_of_json(exact ? exact : text);
    if (!exact || out->len == 0)
        return 0;
    size_t len = out->len;
    char *bytes = arena_alloc(arena, len);
    if (!bytes)
        return err_set(err, ERR_NO_MEMORY, "result: no room for %s", name);
    if (base64_decode(*out, bytes, &len))
        return wrong(twin, "base64 expected", err);
    *out = span_of(bytes, len);
    return 0;
}

static int get_decision(const json_t *body, const json_t *ev, struct decision *out, struct err *err)
{
    const char *integrity = text_of(body, "output_integrity");
    if (verdict_find(span_text(text_of(body, "verdict")), &out->verdict))
        return wrong("verdict", "unknown", err);
    if (cause_find(span_text(text_of(ev, "verdict_cause")), &out->cause))
        return wrong("evidence.verdict_cause", "unknown", err);
    int i = OUTPUT_COMPLETE;
    while (i <= OUTPUT_WRITE_ERROR &&
           strcmp(output_integrity_name((enum output_integrity)i), integrity) != 0)
        i++;
    if (i > OUTPUT_WRITE_ERROR)
        return wrong("output_integrity", "unknown", err);
    out->integrity = (enum output_integrity)i;
    return get_int(body, "exit_code", &out->has_exit_code, &out->exit_code, err) ||
                   get_int(body, "signal", &out->has_signal, &out->signal, err)
               ? -1
               : 0;
}

static int get_times(const json_t *body, const json_t *ev, struct result *out, struct err *err)
{
    const json_t *queue = json_object_get(ev, "queue");
    return get_time(body, "started_at", &out->started_ns, err) ||
                   get_time(body, "completed_at", &out->completed_ns, err) ||
                   get_time(queue, "received", &out->times.received, err) ||
                   get_time(queue, "validated", &out->times.validated, err) ||
                   get_time(queue, "admitted", &out->times.admitted, err) ||
                   get_time(queue, "dequeued", &out->times.dequeued, err)
               ? -1
               : 0;
}

static int get_measured(const json_t *ev, struct result_check *check, struct err *err)
{
    const json_t *measured = json_object_get(ev, "measured");
    check->no_evidence = !measured;
    if (!measured || json_is_null(measured))
        return 0;
    char *text = json_dumps(measured, JSON_COMPACT);
    if (!text)
        return wrong("evidence.measured", "unreadable", err);
    int failed = evidence_decode(span_text(text), &check->result.evidence, err);
    free(text);
    check->result.has_evidence = failed == 0;
    return failed;
}

/* Seconds with six decimals; up to here a double has them exactly. */
static int get_ns(const json_t *object, const char *name, uint64_t *out, struct err *err)
{
    const json_t *item = json_object_get(object, name);
    double us = json_is_number(item) ? json_number_value(item) * 1e6 + 0.5 : -1;
    if (!(us >= 0 && us < 2e15))
        return wrong(name, "seconds expected", err);
    *out = (uint64_t)us * 1000;
    return 0;
}

static int get_u64(const json_t *object, const char *name, uint64_t *out, struct err *err)
{
    const json_t *item = json_object_get(object, name);
    if (!json_is_integer(item) || json_integer_value(item) < 0)
        return wrong(name, "integer of 0 or more expected", err);
    *out = (uint64_t)json_integer_value(item);
    return 0;
}

static int get_case(const json_t *item, struct arena *arena, struct case_result *out,
                    struct err *err)
{
    const json_t *ev = json_object_get(item, "evidence");
    const json_t *namespaces = json_object_get(ev, "namespaces");
    out->name = span_of_json(json_object_get(item, "name"));
    out->ran = json_object_get(item, "verdict") != NULL;
    if (!out->ran)
        return 0;
    if (get_decision(item, item, &out->verdict, err) ||
        get_output(item, "stdout", arena, &out->out, err) ||
        get_output(item, "stderr", arena, &out->errout, err) ||
        get_u64(item, "stdout_bytes", &out->stdout_bytes, err) ||
        get_u64(item, "stderr_bytes", &out->stderr_bytes, err) ||
        get_ns(item, "cpu_time_secs", &out->cpu_ns, err) ||
        get_ns(item, "wall_time_secs", &out->wall_ns, err) ||
        get_u64(item, "memory_peak_bytes", &out->memory_peak_bytes, err) ||
        get_u64(namespaces, "pid", &out->ns_pid, err) ||
        get_u64(namespaces, "mnt", &out->ns_mnt, err))
        return -1;
    return hex_decode(span_text(text_of(ev, "digest")), out->evidence_sha256,
                      sizeof out->evidence_sha256)
               ? wrong("cases: evidence.digest", "64 hexadecimal digits", err)
               : 0;
}

static int get_cases(const json_t *body, struct result_check *check, struct err *err)
{
    const json_t *array = json_object_get(body, "cases"), *item;
    size_t count = json_array_size(array), i;
    if (count == 0)
        return 0;
    if (count > CASES_MAX)
        return wrong("cases", "at most 1000", err);
    struct case_result *cases = arena_alloc(&check->arena, count * sizeof *cases);
    if (!cases)
        return err_set(err, ERR_NO_MEMORY, "result: no room for the cases");
    memset(cases, 0, count * sizeof *cases);
    json_array_foreach((json_t *)(uintptr_t)array, i, item)
    {
        if (get_case(item, &check->arena, &cases[i], err))
            return -1;
    }
    check->result.cases = cases;
    check->result.case_count = count;
    return 0;
}

static int read_result(const json_t *body, struct result_check *check, struct err *err)
{
    struct result *out = &check->result;
    const json_t *ev = json_object_get(body, "evidence");
    const json_t *message = json_object_get(body, "error_message");
    if (!json_is_object(ev))
        return wrong("evidence", "object expected", err);
    if (uuid_parse(span_text(text_of(body, "id")), &out->id))
        return wrong("id", "UUID expected", err);
    if (language_find(span_text(text_of(body, "language")), &out->language))
        return wrong("language", "unknown", err);
    if (get_decision(body, ev, &out->verdict, err) || get_times(body, ev, out, err) ||
        get_output(body, "stdout", &check->arena, &out->out, err) ||
        get_output(body, "stderr", &check->arena, &out->errout, err) ||
        get_measured(ev, check, err) || get_cases(body, check, err))
        return -1;
    out->error_message = json_string_value(message);
    if (span_copy(span_text(text_of(ev, "policy_version")), out->policy, sizeof out->policy))
        return wrong("evidence.policy_version", "at most 15 characters", err);
    if (check->no_evidence)
        return 0;
    if (hex_decode(span_text(text_of(ev, "submission_digest")), out->digest, sizeof out->digest) ||
        hex_decode(span_text(text_of(ev, "digest")), check->stated, sizeof check->stated))
        return wrong("evidence.digest or evidence.submission_digest", "64 hexadecimal digits", err);
    return 0;
}

/* Whether `found` has all that `made` has. Numbers by value: tools write 0.000000 as 0. */
static bool same(const json_t *made, const json_t *found)
{
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_number(made) && json_is_number(found))
        return json_is_integer(made) && json_is_integer(found)
                   ? json_integer_value(made) == json_integer_value(found)
                   : json_number_value(made) == json_number_value(found);
    if (json_typeof(made) != (found ? json_typeof(found) : JSON_NULL) || !found)
        return false;
    if (json_is_array(made)) {
        bool equal = json_array_size(made) == json_array_size(found);
        json_array_foreach(made, i, item) equal = equal && same(item, json_array_get(found, i));
        return equal;
    }
    if (!json_is_object(made))
        return json_equal(made, found) == 1;
    json_object_foreach((json_t *)(uintptr_t)made, key, item)
    {
        if (!same(item, json_object_get(found, key)))
            return false;
    }
    return true;
}

/* A figure of all cases: the evidence, one case's, does not show it. Where the cases are there,
 * they do: the time is the sum of theirs, each of which lost less than a microsecond in its own
 * body. */
static bool is_total(const char *key, const json_t *made, const json_t *found,
                     const struct result_check *check)
{
    bool seconds = strcmp(key, "cpu_time_secs") == 0 || strcmp(key, "wall_time_secs") == 0;
    if (check->cut)
        return seconds || strcmp(key, "memory_peak_bytes") == 0;
    double more = json_number_value(found) - json_number_value(made);
    return seconds && json_is_number(found) && more > -1e-7 &&
           more < 1e-6 * (double)check->result.case_count;
}

static bool find_altered(const json_t *made, const json_t *found, const char *prefix,
                         const char *skip, struct result_check *check)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)made, key, item)
    {
        if (strcmp(key, skip) == 0 || (check->cut && strcmp(key, "outputs") == 0) ||
            same(item, json_object_get(found, key)) ||
            (check->has_cases && is_total(key, item, json_object_get(found, key), check)))
            continue;
        snprintf(check->altered, sizeof check->altered, "%s%s", prefix, key);
        return true;
    }
    return false;
}

static int compare(const json_t *body, struct result_check *check, struct err *err)
{
    BUF_AUTO struct buf text = {.max = RESULT_BODY_BYTES_MAX};
    json_error_t error;
    if (result_body_of(&check->result, &check->result.id, &text, err))
        return -1;
    json_t *made = json_loadb(text.data, text.len, JSON_ALLOW_NUL, &error);
    if (!made)
        return err_set(err, ERR_BUG, "result: its own body is not JSON: %s", error.text);
    if (!find_altered(made, body, "", "evidence", check))
        (void)find_altered(json_object_get(made, "evidence"), json_object_get(body, "evidence"),
                           "evidence.", "digest", check);
    json_decref(made);
    return 0;
}

/* The project's taxonomy is not in the body; only two verdicts show it, and the cause does not
 * depend on it. */
static enum taxonomy taxonomy_of(enum verdict verdict)
{
    return verdict == VERDICT_PLE || verdict == VERDICT_FSE ? TAXONOMY_EXTENDED : TAXONOMY_STANDARD;
}

/* A body that was kept when digests did not cover the cases states one of form 1. Whoever alters a
 * case under a digest of form 2 makes neither hold. */
static int digest_again(struct result_check *check, struct err *err)
{
    const struct result *result = &check->result;
    if (result_digest(result, &result->id, check->digest, err) ||
        result_digest_form(result, &result->id, 1, check->older, err))
        return -1;
    check->cases_uncovered =
        result->case_count > 0 && memcmp(check->stated, check->older, sizeof check->older) == 0;
    return 0;
}

/* What is cut has no cases; a body with cases that says so anyway is whole. */
static bool is_cut(const json_t *body)
{
    static const char *const flags[] = {"stdout_truncated", "stderr_truncated", "cases_truncated"};
    bool cut = false;
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        cut = cut || json_is_true(json_object_get(body, flags[i]));
    return cut && !json_is_array(json_object_get(body, "cases"));
}

int result_check(struct span body, struct result_check *out, struct err *err)
{
    json_error_t error;
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, ARENA_BYTES_MAX);
    out->json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!json_is_object(out->json))
        return err_set(err, ERR_CORRUPT, "result: not a JSON object: line %d: %s", error.line,
                       error.text);
    out->open = !json_object_get(out->json, "verdict") &&
                text_of(out->json, "job_status")[0] != '\0' && text_of(out->json, "id")[0] != '\0';
    if (out->open)
        return 0;
    if (read_result(out->json, out, err))
        return -1;
    if (out->no_evidence)
        return 0;
    out->cut = is_cut(out->json);
    out->has_cases = out->cut ? json_is_object(json_object_get(out->json, "cases_summary"))
                              : out->result.case_count > 0;
    out->taxonomy = taxonomy_of(out->result.verdict.verdict);
    out->recomputed = out->result.has_evidence
                          ? verdict_decide(&out->result.evidence, out->taxonomy)
                          : verdict_without_run(out->result.verdict.cause);
    /* The checker's word: what was expected is not in a result. It needs a run that ended well. */
    if (out->has_cases && out->result.verdict.cause == CAUSE_wrong_answer &&
        out->recomputed.cause == CAUSE_normal_exit) {
        out->recomputed.verdict = VERDICT_WA;
        out->recomputed.cause = CAUSE_wrong_answer;
    }
    return digest_again(out, err) || compare(out->json, out, err) ? -1 : 0;
}

void result_check_done(struct result_check *check)
{
    json_decref(check->json);
    arena_done(&check->arena);
}

bool result_check_equal(const struct result_check *check)
{
    const struct decision *a = &check->result.verdict, *b = &check->recomputed;
    return a->verdict == b->verdict && a->cause == b->cause &&
           a->has_exit_code == b->has_exit_code && a->exit_code == b->exit_code &&
           a->has_signal == b->has_signal && a->signal == b->signal && a->integrity == b->integrity;
}

bool result_check_digest_holds(const struct result_check *check)
{
    return check->cut || check->cases_uncovered ||
           memcmp(check->stated, check->digest, sizeof check->digest) == 0;
}

bool result_check_digest_is(const struct result_check *check, const uint8_t kept[32])
{
    return !check->cut && (memcmp(check->stated, kept, sizeof check->stated) == 0 ||
                           memcmp(check->older, kept, sizeof check->older) == 0);
}
