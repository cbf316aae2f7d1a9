/* The structured fields of a submission: args, files, labels, limits. Each reader applies all rules
 * and names the offending element ("files[3].path"); each writer is its reader's inverse. */
#include "lib/base/enc.h"
#include "lib/crypto/crypto.h"
#include "schemas/submission_impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int read_no_memory(struct reading *in, const char *name)
{
    return err_set(in->err, ERR_NO_MEMORY, "%s: no room", name);
}

int read_array(struct reading *in, const char *name, const json_t *value, size_t max, size_t *count)
{
    *count = 0;
    if (!value)
        return 0;
    if (!json_is_array(value))
        return field_refuse(name, in->field, in->err, "must be an array, got %s",
                            field_type(value));
    *count = json_array_size(value);
    if (*count > max)
        return field_refuse(name, in->field, in->err, "must have at most %zu elements, got %zu",
                            max, *count);
    return 0;
}

int read_object(struct reading *in, const char *name, const json_t *value)
{
    if (json_is_object(value))
        return 0;
    return field_refuse(name, in->field, in->err, "must be an object, got %s", field_type(value));
}

/* ---- args ---- */

int read_args(struct reading *in, const char *name, const json_t *value, const struct span **args,
              size_t *count)
{
    size_t total = 0;
    if (read_array(in, name, value, GIVEN_ARGS_MAX, count))
        return -1;
    struct span *made = arena_alloc(in->arena, (*count + 1) * sizeof *made);
    if (!made)
        return read_no_memory(in, name);
    for (size_t i = 0; i < *count; i++) {
        char element[FIELD_NAME];
        snprintf(element, sizeof element, "%s[%zu]", name, i);
        const struct field_rule rule = {.name = element, .max_bytes = GIVEN_ARGS_BYTES};
        if (field_text(&rule, json_array_get(value, i), in->arena, &made[i], in->field, in->err))
            return -1;
        total += made[i].len + 1;
    }
    if (total > GIVEN_ARGS_BYTES)
        return field_refuse(name, in->field, in->err,
                            "must be at most %d bytes in all, each counted with its NUL, got %zu",
                            GIVEN_ARGS_BYTES, total);
    *args = made;
    return 0;
}

void put_args(struct buf *out, const struct span *args, size_t count)
{
    if (count == 0)
        return;
    buf_puts(out, "\"args\":[");
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        json_quote(args[i], out);
    }
    buf_puts(out, "],");
}

/* ---- files ---- */

static int decode_base64(struct reading *in, const char *name, struct span text, struct span *out)
{
    size_t len = text.len / 4 * 3;
    char *bytes = arena_alloc(in->arena, len + 1);
    if (!bytes)
        return read_no_memory(in, name);
    if (base64_decode(text, bytes, &len))
        return field_refuse(name, in->field, in->err,
                            "must be base64 (RFC 4648 part 4) with its padding and no spaces");
    *out = span_of(bytes, len);
    return 0;
}

enum { FILE_CONTENT, FILE_BASE64, FILE_PATH, FILE_RULES };

static int read_content(struct reading *in, size_t index, const json_t *value,
                        struct given_file *file)
{
    char name[FIELD_NAME];
    const json_t *plain = json_object_get(value, "content"),
                 *base64 = json_object_get(value, "content_base64");
    snprintf(name, sizeof name, "files[%zu]", index);
    if (!plain == !base64)
        return field_refuse(name, in->field, in->err, "must have either content or content_base64");
    snprintf(name, sizeof name, "files[%zu].content%s", index, plain ? "" : "_base64");
    const struct field_rule rule = {
        .name = name, .max_bytes = plain ? GIVEN_FILES_BYTES : BASE64_SIZE(GIVEN_FILES_BYTES) - 1};
    if (field_text(&rule, plain ? plain : base64, in->arena, &file->content, in->field, in->err))
        return -1;
    return plain ? 0 : decode_base64(in, name, file->content, &file->content);
}

static int read_path(struct reading *in, const char *name, const json_t *value, struct span *out)
{
    const struct field_rule rule = {.name = name, .max_bytes = BODY_BYTES_MAX};
    if (field_text(&rule, value, in->arena, out, in->field, in->err))
        return -1;
    const char *why = file_path_rule(*out);
    return why ? field_refuse(name, in->field, in->err, "%s", why) : 0;
}

static int read_file(struct reading *in, size_t index, const json_t *value, struct given_file *file)
{
    static const struct field_rule rules[FILE_RULES] = {[FILE_CONTENT] = {.name = "content"},
                                                        [FILE_BASE64] = {.name = "content_base64"},
                                                        [FILE_PATH] = {.name = "path"}};
    char name[FIELD_NAME];
    snprintf(name, sizeof name, "files[%zu]", index);
    if (read_object(in, name, value))
        return -1;
    snprintf(name, sizeof name, "files[%zu].", index);
    if (field_known(value, name, rules, FILE_RULES, in->field, in->err))
        return -1;
    const json_t *path = json_object_get(value, "path");
    snprintf(name, sizeof name, "files[%zu].path", index);
    if (!path)
        return field_refuse(name, in->field, in->err, "is required");
    return read_path(in, name, path, &file->path) || read_content(in, index, value, file) ? -1 : 0;
}

static int check_apart(struct reading *in, const struct given_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            char name[FIELD_NAME];
            snprintf(name, sizeof name, "files[%zu].path", i);
            if (span_eq(files[i].path, files[j].path))
                return field_refuse(name, in->field, in->err, "is that of files[%zu] again", j);
            if (file_path_covers(files[i].path, files[j].path) ||
                file_path_covers(files[j].path, files[i].path))
                return field_refuse(name, in->field, in->err,
                                    "would be a file and a directory, with files[%zu]", j);
        }
    return 0;
}

static int compare_spans(struct span a, struct span b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_files(const void *a, const void *b)
{
    return compare_spans(((const struct given_file *)a)->path,
                         ((const struct given_file *)b)->path);
}

/* In a payload's metadata a file is its path alone. */
static int read_stored_file(struct reading *in, size_t index, const json_t *value,
                            struct span content, struct given_file *file)
{
    char name[FIELD_NAME];
    snprintf(name, sizeof name, "files[%zu].path", index);
    file->content = content;
    return read_path(in, name, value, &file->path);
}

int read_files(struct reading *in, const json_t *value, const struct span *contents, size_t given,
               struct submission *out)
{
    size_t total = 0, count;
    if (read_array(in, "files", value, GIVEN_FILES_MAX, &count))
        return -1;
    if (contents && given != count)
        return field_refuse("files", in->field, in->err, "%zu paths and %zu contents", count,
                            given);
    struct given_file *files = arena_alloc(in->arena, (count + 1) * sizeof *files);
    if (!files)
        return read_no_memory(in, "files");
    for (size_t i = 0; i < count; i++) {
        const json_t *element = json_array_get(value, i);
        if (contents ? read_stored_file(in, i, element, contents[i], &files[i])
                     : read_file(in, i, element, &files[i]))
            return -1;
        total += files[i].content.len;
    }
    if (total > GIVEN_FILES_BYTES)
        return field_refuse("files", in->field, in->err, "must be at most %d bytes in all, got %zu",
                            GIVEN_FILES_BYTES, total);
    if (check_apart(in, files, count))
        return -1;
    qsort(files, count, sizeof *files, compare_files);
    out->files = files;
    out->file_count = count;
    return 0;
}

static void put_base64(struct buf *out, struct span bytes)
{
    buf_puts(out, "\"");
    char *room = buf_reserve(out, BASE64_SIZE(bytes.len));
    if (room) {
        base64_encode(bytes.data, bytes.len, room);
        buf_grow(out, BASE64_SIZE(bytes.len) - 1);
    }
    buf_puts(out, "\"");
}

void put_files(struct buf *out, const struct submission *sub, bool contents)
{
    if (sub->file_count == 0)
        return;
    buf_puts(out, "\"files\":[");
    for (size_t i = 0; i < sub->file_count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        if (contents) {
            buf_puts(out, "{\"content_base64\":");
            put_base64(out, sub->files[i].content);
            buf_puts(out, ",\"path\":");
        }
        json_quote(sub->files[i].path, out);
        buf_puts(out, contents ? "}" : "");
    }
    buf_puts(out, "],");
}

/* ---- labels ---- */

static bool label_name_valid(struct span name)
{
    const char *text = name.data;
    for (size_t i = 0; i < name.len; i++) {
        char c = text[i];
        if (!(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z') && c != '.' &&
            c != '_' && c != '-' && c != '/')
            return false;
    }
    return name.len >= 1 && name.len <= LABEL_NAME_MAX;
}

static int compare_labels(const void *a, const void *b)
{
    return compare_spans(((const struct label *)a)->name, ((const struct label *)b)->name);
}

int read_labels(struct reading *in, const json_t *value, struct submission *out)
{
    if (!value)
        return 0;
    if (read_object(in, "labels", value))
        return -1;
    size_t count = json_object_size(value), at = 0;
    if (count > LABELS_MAX)
        return field_refuse("labels", in->field, in->err, "must be at most %d, got %zu", LABELS_MAX,
                            count);
    struct label *labels = arena_alloc(in->arena, (count + 1) * sizeof *labels);
    if (!labels)
        return read_no_memory(in, "labels");
    const char *key;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)value, key, text)
    {
        char name[LABEL_NAME_MAX + 8];
        if (!label_name_valid(span_text(key)))
            return field_refuse("labels", in->field, in->err,
                                "a name must be 1 to %d of A-Z a-z 0-9 . _ - /", LABEL_NAME_MAX);
        snprintf(name, sizeof name, "labels.%s", key);
        const struct field_rule rule = {.name = name, .max_bytes = LABEL_VALUE_MAX};
        labels[at].name = arena_copy(in->arena, span_text(key));
        if (!labels[at].name.data)
            return read_no_memory(in, "labels");
        if (field_text(&rule, text, in->arena, &labels[at++].value, in->field, in->err))
            return -1;
    }
    qsort(labels, count, sizeof *labels, compare_labels);
    out->labels = labels;
    out->label_count = count;
    return 0;
}

void labels_put(const struct label *labels, size_t count, struct buf *out)
{
    buf_puts(out, "{");
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        json_quote(labels[i].name, out);
        buf_puts(out, ":");
        json_quote(labels[i].value, out);
    }
    buf_puts(out, "}");
}

void put_labels(struct buf *out, const struct submission *sub)
{
    if (sub->label_count == 0)
        return;
    buf_puts(out, "\"labels\":");
    labels_put(sub->labels, sub->label_count, out);
    buf_puts(out, ",");
}

int label_parse(struct span text, struct label *out)
{
    const char *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
    if (!colon)
        return -1;
    size_t len = (size_t)(colon - (const char *)text.data);
    *out = (struct label){span_of(text.data, len), span_of(colon + 1, text.len - len - 1)};
    return label_name_valid(out->name) && out->value.len <= LABEL_VALUE_MAX ? 0 : -1;
}

void label_hash(struct span secret, const struct label *label, uint8_t out[LABEL_HASH_BYTES])
{
    uint8_t whole[SHA256_BYTES];
    struct span parts[] = {SPAN_LIT("label\n"), label->name, SPAN_LIT("\n"), label->value};
    hmac_sha256_parts(secret, parts, sizeof parts / sizeof parts[0], whole);
    memcpy(out, whole, LABEL_HASH_BYTES);
}

/* ---- limits ---- */

int read_limits(struct reading *in, const json_t *value, struct submission *out)
{
    struct field_rule rules[LIMIT_COUNT];
    if (!value)
        return 0;
    if (read_object(in, "limits", value))
        return -1;
    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        rules[i] = (struct field_rule){.name = limit_name((enum limit)i)};
    if (field_known(value, "limits.", rules, LIMIT_COUNT, in->field, in->err))
        return -1;
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        char name[FIELD_NAME];
        const json_t *number = json_object_get(value, rules[i].name);
        if (!number)
            continue;
        snprintf(name, sizeof name, "limits.%s", rules[i].name);
        if (!json_is_integer(number))
            return field_refuse(name, in->field, in->err, "must be an integer, got %s",
                                field_type(number));
        json_int_t given = json_integer_value(number);
        out->limits.given |= UINT32_C(1) << i;
        out->limits.value[i] = given < 0 ? 0 : (uint64_t)given;
        if (given < 0 || (uint64_t)given < limit_min((enum limit)i))
            return field_refuse(name, in->field, in->err, "must be at least %" PRIu64,
                                limit_min((enum limit)i));
    }
    return 0;
}

/* What equals the profile's own is no wish: such a body is the one without it. */
void put_limits(struct buf *out, const struct submission *sub)
{
    const char *comma = "\"limits\":{";
    struct limits own = limits_run(sub->language, sub->profile);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        uint64_t value = sub->limits.value[i];
        if (!(sub->limits.given >> i & 1U) || value == limit_value(&own, (enum limit)i))
            continue;
        buf_printf(out, "%s\"%s\":%" PRIu64, comma, limit_name((enum limit)i), value);
        comma = ",";
    }
    buf_puts(out, comma[0] == ',' ? "}," : "");
}

struct limits submission_limits(const struct submission *sub)
{
    struct limits limits = limits_run(sub->language, sub->profile);
    limits_tighten(&limits, &sub->limits);
    return limits;
}

/* ---- what needs the language ---- */

static int check_names(struct reading *in, const struct submission *sub, const char *taken)
{
    for (size_t i = 0; taken[0] && i < sub->file_count; i++)
        if (file_path_covers(span_text(taken), sub->files[i].path))
            return field_refuse("files", in->field, in->err,
                                "a path must not be, or lie in, %s: %s has that name itself", taken,
                                language_name(sub->language));
    return 0;
}

int check_with_language(struct reading *in, const struct submission *sub)
{
    struct limits own = limits_run(sub->language, sub->profile);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        char name[FIELD_NAME];
        uint64_t max = limit_value(&own, (enum limit)i);
        snprintf(name, sizeof name, "limits.%s", limit_name((enum limit)i));
        if ((sub->limits.given >> i & 1U) != 0 && sub->limits.value[i] > max)
            return field_refuse(name, in->field, in->err,
                                "must be at most %" PRIu64 ", the limit of %s with profile %s", max,
                                language_name(sub->language), profile_name(sub->profile));
    }
    return check_names(in, sub, language_source(sub->language)) ||
                   check_names(in, sub, language_output(sub->language))
               ? -1
               : 0;
}
