/* Strict reading of request bodies with jansson. jansson's own error texts quote the input, so they
 * are never passed on: a code of theirs becomes a sentence of ours. */
#include "lib/base/buf.h"
#include "lib/base/enc.h"
#include "schemas/fields_impl.h"
#include <stdio.h>

void fields_release(json_t **root)
{
    json_decref(*root);
}

/* Cuts at a character's edge; control characters become '?': a name may be anything. */
static void field_set(char field[FIELD_NAME], struct span name)
{
    const unsigned char *in = name.data;
    size_t len = name.len < FIELD_NAME - 1 ? name.len : FIELD_NAME - 1;
    if (!field)
        return;
    while (len < name.len && len > 0 && (in[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++)
        field[i] = (char)(in[i] < ' ' || in[i] == 0x7f ? '?' : in[i]);
    field[len] = '\0';
}

int field_refuse(const char *name, char field[FIELD_NAME], struct err *err, const char *format, ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    field_set(field, span_text(name));
    return err_set(err, ERR_INVALID, "%s: %s", name, what);
}

static int body_refuse(char field[FIELD_NAME], struct err *err, const char *what)
{
    field_set(field, SPAN_LIT(""));
    return err_set(err, ERR_INVALID, "%s", what);
}

/* Deepest nesting of arrays and objects. Counts before parsing, so that hostile nesting never
 * recurses; in text that is not JSON the figure means nothing, and the parser refuses it. */
static size_t depth_of(struct span body)
{
    const char *in = body.data;
    size_t depth = 0, deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < body.len; i++) {
        if (quoted) {
            if (in[i] == '\\')
                i++;
            else if (in[i] == '"')
                quoted = false;
        } else if (in[i] == '"') {
            quoted = true;
        } else if (in[i] == '[' || in[i] == '{') {
            if (++depth > deepest)
                deepest = depth;
        } else if ((in[i] == ']' || in[i] == '}') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

/* jansson tells which key is doubled only inside its text; only our own names are looked for. */
static int refuse_duplicate(const json_error_t *error, const struct field_rule *rules, size_t count,
                            char field[FIELD_NAME], struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        char quoted[FIELD_NAME + 4];
        snprintf(quoted, sizeof quoted, "'\"%s\"'", rules[i].name);
        if (strstr(error->text, quoted))
            return field_refuse(rules[i].name, field, err, "is there twice");
    }
    return body_refuse(field, err, "the body has a duplicate key");
}

static int refuse_syntax(const json_error_t *error, const struct field_rule *rules, size_t count,
                         char field[FIELD_NAME], struct err *err)
{
    switch ((int)json_error_code(error)) {
    case json_error_duplicate_key:
        return refuse_duplicate(error, rules, count, field, err);
    case json_error_out_of_memory:
        return err_set(err, ERR_NO_MEMORY, "parsing the body");
    case json_error_null_byte_in_key:
        return body_refuse(field, err, "the body has a key with NUL");
    case json_error_numeric_overflow:
        return body_refuse(field, err, "the body has a number that is out of range");
    case json_error_premature_end_of_input:
        return body_refuse(field, err, "the body ends in the middle of its JSON");
    case json_error_end_of_input_expected:
        return body_refuse(field, err, "the body goes on after its JSON object");
    default:
        field_set(field, SPAN_LIT(""));
        return err_set(err, ERR_INVALID, "the body is not JSON (line %d, column %d)", error->line,
                       error->column);
    }
}

static json_t *parse(struct span body, const struct field_rule *rules, size_t count,
                     char field[FIELD_NAME], struct err *err)
{
    json_error_t error;
    json_t *root = NULL;
    if (body.len == 0)
        body_refuse(field, err, "the body is empty: send a JSON object");
    else if (memchr(body.data, 0, body.len))
        body_refuse(field, err, "the body has a NUL byte");
    else if (!utf8_valid(body))
        body_refuse(field, err, "the body is not well-formed UTF-8");
    else if (depth_of(body) > JSON_DEPTH_MAX)
        body_refuse(field, err, "the body is nested deeper than 32 levels");
    else
        root = json_loadb(body.data, body.len,
                          JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (root && !json_is_object(root)) {
        body_refuse(field, err, "the body must be a JSON object");
        json_decref(root);
        return NULL;
    }
    if (!root && body.len > 0 && (!err || err->code == ERR_NONE))
        refuse_syntax(&error, rules, count, field, err);
    return root;
}

const char *field_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

int field_text(const struct field_rule *rule, const json_t *value, struct arena *arena,
               struct span *out, char field[FIELD_NAME], struct err *err)
{
    if (!json_is_string(value))
        return field_refuse(rule->name, field, err, "must be a string, got %s", field_type(value));
    struct span text = span_of(json_string_value(value), json_string_length(value));
    if (text.len < rule->min_bytes || text.len > rule->max_bytes)
        return field_refuse(rule->name, field, err, "must be %zu to %zu bytes, got %zu",
                            rule->min_bytes, rule->max_bytes, text.len);
    if (memchr(text.data, 0, text.len))
        return field_refuse(rule->name, field, err, "must not contain NUL");
    const char *copy = arena_text(arena, text);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "%s: no room for %zu bytes", rule->name, text.len);
    *out = span_of(copy, text.len);
    return 0;
}

#define LIST_ITEMS_MAX 64

static int read_list(const struct field_rule *rule, const json_t *value, struct arena *arena,
                     struct span *out, char field[FIELD_NAME], struct err *err)
{
    BUF_AUTO struct buf joined = {.max = 64 * 1024};
    if (!json_is_array(value))
        return field_refuse(rule->name, field, err, "must be an array, got %s", field_type(value));
    size_t count = json_array_size(value);
    if (count < 1 || count > LIST_ITEMS_MAX)
        return field_refuse(rule->name, field, err, "must have 1 to %d items, got %zu",
                            LIST_ITEMS_MAX, count);
    for (size_t i = 0; i < count; i++) {
        struct span item;
        if (field_text(rule, json_array_get(value, i), arena, &item, field, err))
            return -1;
        if (memchr(item.data, ',', item.len))
            return field_refuse(rule->name, field, err, "has an item with a comma");
        buf_puts(&joined, i ? "," : "");
        buf_add(&joined, item.data, item.len);
    }
    const char *copy = joined.failed ? NULL : arena_text(arena, buf_span(&joined));
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "%s: no room", rule->name);
    *out = span_of(copy, joined.len);
    return 0;
}

int field_known(const json_t *object, const char *prefix, const struct field_rule *rules,
                size_t count, char field[FIELD_NAME], struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        size_t i = 0;
        while (i < count && strcmp(rules[i].name, name) != 0)
            i++;
        if (i == count) {
            char whole[2 * FIELD_NAME], shown[FIELD_NAME];
            snprintf(whole, sizeof whole, "%s%s", prefix, name);
            field_set(shown, span_text(whole));
            return field_refuse(shown, field, err, "is not a field of this request");
        }
    }
    return 0;
}

static int read_all(const json_t *root, const struct field_rule *rules, size_t count,
                    struct arena *arena, struct span *values, char field[FIELD_NAME],
                    struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(root, rules[i].name);
        values[i] = span_of(NULL, 0);
        if (value && rules[i].refused)
            return field_refuse(rules[i].name, field, err, "%s", rules[i].refused);
        if (!value && rules[i].required)
            return field_refuse(rules[i].name, field, err, "is required");
        int (*read)(const struct field_rule *, const json_t *, struct arena *, struct span *, char *,
                    struct err *) = rules[i].list ? read_list : field_text;
        if (value && !rules[i].nested && read(&rules[i], value, arena, &values[i], field, err))
            return -1;
    }
    return 0;
}

json_t *fields_open(struct span body, const struct field_rule *rules, size_t count,
                    struct arena *arena, struct span *values, char field[FIELD_NAME],
                    struct err *err)
{
    struct err own = {.code = ERR_NONE};
    json_t *root = parse(body, rules, count, field, &own);
    if (root && field_known(root, "", rules, count, field, &own) == 0 &&
        read_all(root, rules, count, arena, values, field, &own) == 0)
        return root;
    json_decref(root);
    if (err)
        *err = own;
    return NULL;
}

int fields_parse(struct span body, const struct field_rule *rules, size_t count,
                 struct arena *arena, struct span *values, char field[FIELD_NAME], struct err *err)
{
    FIELDS_AUTO json_t *root = fields_open(body, rules, count, arena, values, field, err);
    return root ? 0 : -1;
}
