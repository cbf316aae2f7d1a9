/* The rules of a submission, for every way in, and its three texts: the HTTP body, the canonical
 * body behind the fingerprint, and the payload in the log. */
#include "lib/base/enc.h"
#include "schemas/payload.h"
#include "schemas/submission_impl.h"
#include "schemas/webhook.h"
#include <stdio.h>

enum { CODE, LANGUAGE, PROFILE, STDIN, WEBHOOK_URL, WEBHOOK_SECRET };
#define NAME_MAX_BYTES 32
#define META_BYTES_MAX (2 * BODY_BYTES_MAX) /* more than any body's can come to */

static const struct field_rule body_rules[] = {
    [CODE] = {.name = "code", .required = true, .min_bytes = 1, .max_bytes = CODE_BYTES_MAX},
    [LANGUAGE] = {.name = "language",
                  .required = true,
                  .min_bytes = 1,
                  .max_bytes = NAME_MAX_BYTES},
    [PROFILE] = {.name = "profile", .min_bytes = 1, .max_bytes = NAME_MAX_BYTES},
    [STDIN] = {.name = "stdin", .max_bytes = STDIN_BYTES_MAX},
    [WEBHOOK_URL] = {.name = "webhook_url", .min_bytes = 1, .max_bytes = WEBHOOK_URL_MAX},
    [WEBHOOK_SECRET] = {.name = "webhook_secret", .min_bytes = 1, .max_bytes = 256},
    {.name = "files", .nested = true},
    {.name = "args", .nested = true},
    {.name = "limits", .nested = true},
    {.name = "cases", .nested = true},
    {.name = "stop_on_fail", .nested = true},
    {.name = "labels", .nested = true},
};
#define BODY_RULES (sizeof body_rules / sizeof body_rules[0])

enum { META_LANGUAGE, META_PROFILE, META_URL, META_SECRET };
static const struct field_rule meta_rules[] = {
    [META_LANGUAGE] = {.name = "language",
                       .required = true,
                       .min_bytes = 1,
                       .max_bytes = NAME_MAX_BYTES},
    [META_PROFILE] = {.name = "profile",
                      .required = true,
                      .min_bytes = 1,
                      .max_bytes = NAME_MAX_BYTES},
    [META_URL] = {.name = "webhook_url", .min_bytes = 1, .max_bytes = WEBHOOK_URL_MAX},
    [META_SECRET] = {.name = "webhook_secret", .min_bytes = 1, .max_bytes = 256},
    {.name = "args", .nested = true},
    {.name = "cases", .nested = true},
    {.name = "files", .nested = true},
    {.name = "labels", .nested = true},
    {.name = "limits", .nested = true},
    {.name = "stop_on_fail", .nested = true},
};
#define META_RULES (sizeof meta_rules / sizeof meta_rules[0])

/* The message never repeats a value: the secret is one. */
static int take_webhook(struct span url, struct span secret, struct submission *out,
                        char field[FIELD_NAME], struct err *err)
{
    if (!url.data && !secret.data)
        return 0;
    if (!url.data)
        return field_refuse("webhook_secret", field, err, "must come with webhook_url");
    const char *why = secret.data ? webhook_secret_refuse(secret, true) : NULL;
    if (why)
        return field_refuse("webhook_secret", field, err, "%s", why);
    out->webhook_url = url;
    out->webhook_secret = secret;
    return 0;
}

static int find_names(struct span language, struct span profile, struct submission *out,
                      char field[FIELD_NAME], struct err *err)
{
    out->profile = PROFILE_JUDGE;
    if (profile.data && profile_find(profile, &out->profile))
        return field_refuse("profile", field, err, "must be \"judge\" or \"agent\"");
    if (language_find(language, &out->language) == 0)
        return 0;
    field_refuse("language", field, err,
                 "is not supported: use python, c, cpp, java, javascript, typescript, go or rust");
    if (err)
        err->code = ERR_NOT_FOUND;
    return -1;
}

/* What a payload's sections hold beside code and stdin. */
struct contents {
    struct span files[PAYLOAD_SECTIONS_MAX];
    size_t file_count;
    struct span cases;
};

/* contents NULL: of a body. out has stdin by now. */
static int read_nested(struct reading *in, const json_t *root, const struct contents *contents,
                       struct submission *out)
{
    const struct span *files = contents ? contents->files : NULL;
    return read_args(in, "args", json_object_get(root, "args"), &out->args, &out->arg_count) ||
                   read_files(in, json_object_get(root, "files"), files,
                              contents ? contents->file_count : 0, out) ||
                   read_labels(in, json_object_get(root, "labels"), out) ||
                   read_limits(in, json_object_get(root, "limits"), out) ||
                   read_cases(in, root, contents ? &contents->cases : NULL, out)
               ? -1
               : 0;
}

int submission_parse(struct span body, struct arena *arena, struct submission *out,
                     char field[FIELD_NAME], struct err *err)
{
    struct span values[BODY_RULES];
    struct submission sub = {.stdin_data = SPAN_LIT("")};
    if (body.len > BODY_BYTES_MAX) {
        if (field)
            field[0] = '\0';
        return err_set(err, ERR_TOO_LARGE, "the body must be at most %d bytes, got %zu",
                       BODY_BYTES_MAX, body.len);
    }
    struct reading in = {arena, field, err};
    FIELDS_AUTO json_t *root = fields_open(body, body_rules, BODY_RULES, arena, values, field, err);
    if (!root)
        return -1;
    sub.code = values[CODE];
    if (values[STDIN].data)
        sub.stdin_data = values[STDIN];
    if (read_nested(&in, root, NULL, &sub) ||
        take_webhook(values[WEBHOOK_URL], values[WEBHOOK_SECRET], &sub, field, err) ||
        find_names(values[LANGUAGE], values[PROFILE], &sub, field, err) ||
        check_with_language(&in, &sub))
        return -1;
    *out = sub;
    return 0;
}

enum api_error submission_api_error(const struct err *err, const char *field)
{
    switch ((int)err->code) {
    case ERR_NOT_FOUND:
        return API_ERROR_unsupported_language;
    case ERR_TOO_LARGE:
        return API_ERROR_payload_too_large;
    case ERR_INVALID:
        return field[0] ? API_ERROR_invalid_field : API_ERROR_invalid_json;
    default:
        return API_ERROR_internal;
    }
}

/* Nothing where there is none, so that bodies without keep their text. */
static void put_webhook(const struct submission *sub, struct buf *out)
{
    if (!sub->webhook_url.data)
        return;
    if (sub->webhook_secret.data) {
        buf_puts(out, ",\"webhook_secret\":");
        json_quote(sub->webhook_secret, out);
    }
    buf_puts(out, ",\"webhook_url\":");
    json_quote(sub->webhook_url, out);
}

int submission_canonical(const struct submission *sub, struct buf *out, struct err *err)
{
    buf_puts(out, "{");
    put_args(out, sub->args, sub->arg_count);
    put_cases(out, sub, true);
    buf_puts(out, "\"code\":");
    json_quote(sub->code, out);
    buf_puts(out, ",");
    put_files(out, sub, true);
    put_labels(out, sub);
    buf_printf(out, "\"language\":\"%s\",", language_name(sub->language));
    put_limits(out, sub);
    buf_printf(out, "\"profile\":\"%s\",\"stdin\":", profile_name(sub->profile));
    json_quote(sub->stdin_data, out);
    put_stop(out, sub);
    put_webhook(sub, out);
    buf_puts(out, "}");
    return out->failed ? err_set(err, ERR_NO_MEMORY, "canonical body: the buffer is full") : 0;
}

static void add_section(struct payload *payload, enum section kind, struct span bytes)
{
    payload->section[payload->sections].kind = kind;
    payload->section[payload->sections++].bytes = bytes;
}

int submission_pack(const struct submission *sub, struct buf *out, struct err *err)
{
    struct buf meta = {.max = META_BYTES_MAX};
    BUF_AUTO struct buf cases = {.max = META_BYTES_MAX};
    buf_puts(&meta, "{");
    put_args(&meta, sub->args, sub->arg_count);
    put_cases(&meta, sub, false);
    put_files(&meta, sub, false);
    put_labels(&meta, sub);
    buf_printf(&meta, "\"language\":\"%s\",", language_name(sub->language));
    put_limits(&meta, sub);
    buf_printf(&meta, "\"profile\":\"%s\"", profile_name(sub->profile));
    put_stop(&meta, sub);
    put_webhook(sub, &meta);
    buf_puts(&meta, "}");
    pack_cases(&cases, sub);
    bool failed = meta.failed || cases.failed;
    struct payload payload = {.meta = buf_span(&meta)};
    add_section(&payload, SECTION_CODE, sub->code);
    add_section(&payload, SECTION_STDIN, sub->stdin_data);
    for (size_t i = 0; i < sub->file_count; i++)
        add_section(&payload, SECTION_FILE, sub->files[i].content);
    if (sub->case_count > 0)
        add_section(&payload, SECTION_CASES, buf_span(&cases));
    int rc = failed ? err_set(err, ERR_NO_MEMORY, "payload metadata above %d bytes", META_BYTES_MAX)
                    : payload_pack(&payload, out, err);
    wipe_buf(&meta);
    return rc;
}

/* The rules that the JSON reader applies to a body, for sections. */
static int check_text(const struct field_rule *rule, struct span text, struct err *err)
{
    if (text.len < rule->min_bytes || text.len > rule->max_bytes)
        return field_refuse(rule->name, NULL, err, "must be %zu to %zu bytes, got %zu",
                            rule->min_bytes, rule->max_bytes, text.len);
    if (text.len > 0 && memchr(text.data, 0, text.len))
        return field_refuse(rule->name, NULL, err, "must not contain NUL");
    if (!utf8_valid(text))
        return field_refuse(rule->name, NULL, err, "must be well-formed UTF-8");
    return 0;
}

/* Code and stdin first, then nothing but files, and cases last. */
static int check_sections(const struct payload *parts, struct contents *out, struct err *err)
{
    *out = (struct contents){.cases = {"", 0}};
    for (size_t i = 0; i < parts->sections; i++) {
        enum section kind = parts->section[i].kind;
        if (i >= 2 && kind == SECTION_CASES && i + 1 == parts->sections)
            out->cases = parts->section[i].bytes;
        else if (i >= 2 && kind == SECTION_FILE)
            out->files[out->file_count++] = parts->section[i].bytes;
        else if (i >= 2 || kind != (i == 0 ? SECTION_CODE : SECTION_STDIN))
            return err_set(err, ERR_INVALID, "payload: section %zu is neither code, stdin nor file",
                           i);
    }
    return 0;
}

int submission_unpack(struct span payload, struct arena *arena, struct submission *out,
                      struct err *err)
{
    struct payload parts;
    struct span names[META_RULES];
    struct contents contents;
    struct submission sub = {.code = {NULL, 0}};
    struct reading in = {arena, NULL, err};
    if (payload_unpack(payload, &parts, err) || check_sections(&parts, &contents, err))
        return -1;
    FIELDS_AUTO json_t *meta =
        fields_open(parts.meta, meta_rules, META_RULES, arena, names, NULL, err);
    if (!meta)
        return err_wrap(err, "payload metadata");
    sub.code = payload_section(&parts, SECTION_CODE);
    sub.stdin_data = payload_section(&parts, SECTION_STDIN);
    if (check_text(&body_rules[CODE], sub.code, err) ||
        check_text(&body_rules[STDIN], sub.stdin_data, err) ||
        take_webhook(names[META_URL], names[META_SECRET], &sub, NULL, err) ||
        read_nested(&in, meta, &contents, &sub) ||
        find_names(names[META_LANGUAGE], names[META_PROFILE], &sub, NULL, err) ||
        check_with_language(&in, &sub))
        return -1;
    *out = sub;
    return 0;
}

/* ---- Idempotency-Key ---- */

static struct span trimmed(struct span text)
{
    const char *at = text.data;
    size_t len = text.len;
    while (len > 0 && (*at == ' ' || *at == '\t')) {
        at++;
        len--;
    }
    while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
        len--;
    return span_of(at, len);
}

/* RFC 8941 part 3.3.3 without parameters; writes the text between the quotes. */
static int unquote(struct span quoted, char *out, size_t *len, struct err *err)
{
    const char *in = quoted.data;
    *len = 0;
    for (size_t i = 1; i < quoted.len; i++) {
        char c = in[i];
        if (c == '"') {
            if (i + 1 == quoted.len)
                return 0;
            return err_set(err, ERR_INVALID, "Idempotency-Key: goes on after its closing quote");
        }
        if (c == '\\') {
            c = i + 1 < quoted.len ? in[++i] : '\0';
            if (c != '"' && c != '\\')
                return err_set(err, ERR_INVALID,
                               "Idempotency-Key: a backslash must precede a quote or a backslash");
        }
        out[(*len)++] = c;
    }
    return err_set(err, ERR_INVALID, "Idempotency-Key: has no closing quote");
}

int idempotency_key_parse(struct span header, struct arena *arena, struct span *out,
                          struct err *err)
{
    struct span text = trimmed(header);
    size_t len = text.len, characters = 0;
    if (len > IDEMPOTENCY_KEY_MAX * 4 + 2)
        return err_set(err, ERR_INVALID, "Idempotency-Key: must be 1 to %d characters",
                       IDEMPOTENCY_KEY_MAX);
    char *key = arena_text(arena, text);
    if (!key)
        return err_set(err, ERR_NO_MEMORY, "Idempotency-Key: no room");
    if (len > 0 && key[0] == '"' && unquote(text, key, &len, err))
        return -1;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)key[i];
        if (c < ' ' || c == 0x7f)
            return err_set(err, ERR_INVALID,
                           "Idempotency-Key: must not contain control characters");
        characters += (c & 0xc0) != 0x80;
    }
    if (!utf8_valid(span_of(key, len)))
        return err_set(err, ERR_INVALID, "Idempotency-Key: must be well-formed UTF-8");
    if (characters < 1 || characters > IDEMPOTENCY_KEY_MAX)
        return err_set(err, ERR_INVALID, "Idempotency-Key: must be 1 to %d characters, got %zu",
                       IDEMPOTENCY_KEY_MAX, characters);
    *out = span_of(key, len);
    return 0;
}
