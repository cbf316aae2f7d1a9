/* `cases` and `stop_on_fail` of a submission: read from a body, or from a payload, whose metadata
 * has the lengths of stdin and expected output while their bytes lie in a section, one behind the
 * other. */
#include "lib/base/enc.h"
#include "schemas/submission_impl.h"
#include <inttypes.h>
#include <stdio.h>

#define TOLERANCE_MAX 1e9

enum { CASE_ARGS, CASE_CHECKER, CASE_EXPECTED, CASE_NAME, CASE_STDIN, CASE_RULES };
static const struct field_rule rules[CASE_RULES] = {
    [CASE_ARGS] = {.name = "args"},   [CASE_CHECKER] = {.name = "checker"},
    [CASE_NAME] = {.name = "name"},   [CASE_EXPECTED] = {.name = "expected_output"},
    [CASE_STDIN] = {.name = "stdin"},
};

/* What is left of the section. */
struct rest {
    const char *at;
    size_t len;
};

static const char *name_of(char name[FIELD_NAME], size_t index, const char *member)
{
    snprintf(name, FIELD_NAME, "cases[%zu]%s%s", index, member[0] ? "." : "", member);
    return name;
}

static int read_tolerance(struct reading *in, size_t index, const json_t *object,
                          const char *member, double *out)
{
    char whole[24], name[FIELD_NAME];
    const json_t *value = json_object_get(object, member);
    snprintf(whole, sizeof whole, "checker.float.%s", member);
    name_of(name, index, whole);
    *out = 0;
    if (!value)
        return 0;
    if (!json_is_number(value))
        return field_refuse(name, in->field, in->err, "must be a number, got %s",
                            field_type(value));
    *out = json_number_value(value) + 0.0; /* no negative zero */
    if (!(*out >= 0 && *out <= TOLERANCE_MAX))
        return field_refuse(name, in->field, in->err, "must be 0 to 1e9");
    return 0;
}

/* {"float": {"abs": 1e-6, "rel": 1e-9}} */
static int read_float(struct reading *in, size_t index, const json_t *value, struct checker *out)
{
    static const struct field_rule outer[] = {{.name = "float"}},
                                   inner[] = {{.name = "abs"}, {.name = "rel"}};
    char name[FIELD_NAME];
    const json_t *object = json_object_get(value, "float");
    out->kind = CHECKER_FLOAT;
    if (field_known(value, name_of(name, index, "checker."), outer, 1, in->field, in->err))
        return -1;
    if (!object)
        return field_refuse(name_of(name, index, "checker"), in->field, in->err,
                            "must be {\"float\": {\"abs\": A, \"rel\": R}} when it is an object");
    if (read_object(in, name_of(name, index, "checker.float"), object) ||
        field_known(object, name_of(name, index, "checker.float."), inner, 2, in->field, in->err))
        return -1;
    if (json_object_size(object) == 0)
        return field_refuse(name_of(name, index, "checker.float"), in->field, in->err,
                            "must have abs, rel or both");
    return read_tolerance(in, index, object, "abs", &out->abs) ||
                   read_tolerance(in, index, object, "rel", &out->rel)
               ? -1
               : 0;
}

static int read_checker(struct reading *in, size_t index, const json_t *value, struct checker *out)
{
    char name[FIELD_NAME];
    *out = (struct checker){.kind = CHECKER_DEFAULT};
    if (!value)
        return 0;
    if (json_is_object(value))
        return read_float(in, index, value, out);
    struct span text = json_is_string(value)
                           ? span_of(json_string_value(value), json_string_length(value))
                           : span_of("", 0);
    if (checker_find(text, &out->kind) == 0 && out->kind != CHECKER_FLOAT)
        return 0;
    return field_refuse(name_of(name, index, "checker"), in->field, in->err,
                        "must be \"exact\", \"trimmed\", \"tokens\" or {\"float\": {\"abs\": A, "
                        "\"rel\": R}}");
}

static int read_text(struct reading *in, size_t index, const char *member, const json_t *value,
                     size_t max, struct span *out)
{
    char name[FIELD_NAME];
    const struct field_rule rule = {.name = name_of(name, index, member), .max_bytes = max};
    *out = span_of("", 0);
    return value ? field_text(&rule, value, in->arena, out, in->field, in->err) : 0;
}

/* A length in the metadata, the bytes in the section; under the rules of a text. */
static int take_text(struct reading *in, size_t index, const char *member, const json_t *value,
                     size_t max, struct rest *rest, struct span *out)
{
    char name[FIELD_NAME];
    json_int_t len = value ? json_integer_value(value) : 0;
    name_of(name, index, member);
    if ((value && !json_is_integer(value)) || len < 0 || (uint64_t)len > rest->len)
        return field_refuse(name, in->field, in->err, "is not in the payload");
    *out = span_of(rest->at, (size_t)len);
    rest->at += len;
    rest->len -= (size_t)len;
    if (out->len > max)
        return field_refuse(name, in->field, in->err, "must be 0 to %zu bytes, got %zu", max,
                            out->len);
    if (out->len > 0 && memchr(out->data, 0, out->len))
        return field_refuse(name, in->field, in->err, "must not contain NUL");
    return utf8_valid(*out) ? 0
                            : field_refuse(name, in->field, in->err, "must be well-formed UTF-8");
}

static int read_texts(struct reading *in, size_t index, const json_t *value, struct rest *rest,
                      struct test_case *out)
{
    const json_t *input = json_object_get(value, "stdin"),
                 *expected = json_object_get(value, "expected_output");
    out->has_expected = expected != NULL;
    if (rest)
        return take_text(in, index, "stdin", input, STDIN_BYTES_MAX, rest, &out->stdin_data) ||
                       take_text(in, index, "expected_output", expected, BODY_BYTES_MAX, rest,
                                 &out->expected)
                   ? -1
                   : 0;
    return read_text(in, index, "stdin", input, STDIN_BYTES_MAX, &out->stdin_data) ||
                   read_text(in, index, "expected_output", expected, BODY_BYTES_MAX, &out->expected)
               ? -1
               : 0;
}

static int read_case(struct reading *in, size_t index, const json_t *value, struct rest *rest,
                     struct test_case *out)
{
    char name[FIELD_NAME];
    if (read_object(in, name_of(name, index, ""), value))
        return -1;
    snprintf(name, sizeof name, "cases[%zu].", index);
    if (field_known(value, name, rules, CASE_RULES, in->field, in->err))
        return -1;
    const json_t *checker = json_object_get(value, "checker");
    if (read_text(in, index, "name", json_object_get(value, "name"), CASE_NAME_MAX, &out->name) ||
        read_texts(in, index, value, rest, out) ||
        read_args(in, name_of(name, index, "args"), json_object_get(value, "args"), &out->args,
                  &out->arg_count) ||
        read_checker(in, index, checker, &out->checker))
        return -1;
    if (checker && !out->has_expected)
        return field_refuse(name_of(name, index, "checker"), in->field, in->err,
                            "needs expected_output");
    return 0;
}

static int check_beside(struct reading *in, const struct submission *out)
{
    if (out->stdin_data.len > 0)
        return field_refuse("stdin", in->field, in->err,
                            "is not allowed together with cases: each case has its own");
    if (out->arg_count > 0)
        return field_refuse("args", in->field, in->err,
                            "is not allowed together with cases: each case has its own");
    return 0;
}

static int read_stop(struct reading *in, const json_t *value, struct submission *out)
{
    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return field_refuse("stop_on_fail", in->field, in->err, "must be true or false, got %s",
                            field_type(value));
    if (out->case_count == 0)
        return field_refuse("stop_on_fail", in->field, in->err, "needs cases");
    out->stop_on_fail = json_is_true(value);
    return 0;
}

int read_cases(struct reading *in, const json_t *root, const struct span *contents,
               struct submission *out)
{
    size_t count;
    const json_t *value = json_object_get(root, "cases");
    struct rest rest = {contents ? contents->data : NULL, contents ? contents->len : 0};
    if (read_array(in, "cases", value, CASES_MAX, &count))
        return -1;
    if (value && count == 0)
        return field_refuse("cases", in->field, in->err, "must have at least one element");
    if (count > 0) {
        struct test_case *cases = arena_alloc(in->arena, count * sizeof *cases);
        if (!cases)
            return read_no_memory(in, "cases");
        for (size_t i = 0; i < count; i++)
            if (read_case(in, i, json_array_get(value, i), contents ? &rest : NULL, &cases[i]))
                return -1;
        out->cases = cases;
        out->case_count = count;
        if (check_beside(in, out))
            return -1;
    }
    if (rest.len > 0)
        return field_refuse("cases", in->field, in->err, "leave %zu bytes of the payload over",
                            rest.len);
    return read_stop(in, json_object_get(root, "stop_on_fail"), out);
}

/* ---- writing ---- */

static void put_checker(struct buf *out, const struct checker *checker)
{
    if (checker->kind == CHECKER_DEFAULT)
        return;
    if (checker->kind == CHECKER_FLOAT)
        buf_printf(out, "\"checker\":{\"float\":{\"abs\":%.17g,\"rel\":%.17g}},", checker->abs,
                   checker->rel);
    else
        buf_printf(out, "\"checker\":\"%s\",", checker_name(checker->kind));
}

static void put_text(struct buf *out, const char *name, struct span text, bool contents)
{
    buf_printf(out, "\"%s\":", name);
    if (contents)
        json_quote(text, out);
    else
        buf_printf(out, "%zu", text.len);
    buf_puts(out, ",");
}

void put_cases(struct buf *out, const struct submission *sub, bool contents)
{
    if (sub->case_count == 0)
        return;
    buf_puts(out, "\"cases\":[");
    for (size_t i = 0; i < sub->case_count; i++) {
        const struct test_case *one = &sub->cases[i];
        buf_puts(out, i > 0 ? ",{" : "{");
        put_args(out, one->args, one->arg_count);
        if (one->has_expected) {
            put_checker(out, &one->checker);
            put_text(out, "expected_output", one->expected, contents);
        }
        if (one->name.len > 0)
            put_text(out, "name", one->name, true);
        if (one->stdin_data.len > 0)
            put_text(out, "stdin", one->stdin_data, contents);
        if (!out->failed && out->data[out->len - 1] == ',')
            out->len--;
        buf_puts(out, "}");
    }
    buf_puts(out, "],");
}

void put_stop(struct buf *out, const struct submission *sub)
{
    buf_puts(out, sub->stop_on_fail ? ",\"stop_on_fail\":true" : "");
}

void pack_cases(struct buf *out, const struct submission *sub)
{
    for (size_t i = 0; i < sub->case_count; i++) {
        buf_add(out, sub->cases[i].stdin_data.data, sub->cases[i].stdin_data.len);
        buf_add(out, sub->cases[i].expected.data, sub->cases[i].expected.len);
    }
}
