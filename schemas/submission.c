/* The rules of a submission, for every way in, and its three texts: the HTTP body, the canonical
 * body behind the fingerprint, and the payload in the log. */
#include "schemas/submission.h"
#include "lib/base/enc.h"
#include "schemas/fields.h"
#include "schemas/payload.h"
#include "schemas/webhook.h"
#include <stdio.h>

enum { CODE, LANGUAGE, PROFILE, STDIN, WEBHOOK_URL, WEBHOOK_SECRET, BODY_ACCEPTED };
#define NOT_YET "is not available yet"
#define NAME_MAX_BYTES 32

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
    {.name = "files", .refused = NOT_YET},
    {.name = "args", .refused = NOT_YET},
    {.name = "limits", .refused = NOT_YET},
    {.name = "cases", .refused = NOT_YET},
    {.name = "labels", .refused = NOT_YET},
};
#define BODY_RULES (sizeof body_rules / sizeof body_rules[0])

enum { META_LANGUAGE, META_PROFILE, META_URL, META_SECRET, META_RULES };
static const struct field_rule meta_rules[META_RULES] = {
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
};

/* The message never repeats a value: the secret is one. */
static int take_webhook(struct span url, struct span secret, struct submission *out,
                        char field[FIELD_NAME], struct err *err)
{
    if (!url.data && !secret.data)
        return 0;
    if (!url.data)
        return field_refuse("webhook_secret", field, err, "must come with webhook_url");
    if (!secret.data)
        return field_refuse("webhook_secret", field, err, "is required with webhook_url");
    const char *why = webhook_secret_refuse(secret, true);
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
    if (fields_parse(body, body_rules, BODY_RULES, arena, values, field, err) ||
        take_webhook(values[WEBHOOK_URL], values[WEBHOOK_SECRET], &sub, field, err) ||
        find_names(values[LANGUAGE], values[PROFILE], &sub, field, err))
        return -1;
    sub.code = values[CODE];
    if (values[STDIN].data)
        sub.stdin_data = values[STDIN];
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
    buf_puts(out, ",\"webhook_secret\":");
    json_quote(sub->webhook_secret, out);
    buf_puts(out, ",\"webhook_url\":");
    json_quote(sub->webhook_url, out);
}

int submission_canonical(const struct submission *sub, struct buf *out, struct err *err)
{
    buf_puts(out, "{\"code\":");
    json_quote(sub->code, out);
    buf_printf(out,
               ",\"language\":\"%s\",\"profile\":\"%s\",\"stdin\":", language_name(sub->language),
               profile_name(sub->profile));
    json_quote(sub->stdin_data, out);
    put_webhook(sub, out);
    buf_puts(out, "}");
    return out->failed ? err_set(err, ERR_NO_MEMORY, "canonical body: the buffer is full") : 0;
}

int submission_pack(const struct submission *sub, struct buf *out, struct err *err)
{
    struct buf meta = {.max = 16384};
    buf_printf(&meta, "{\"language\":\"%s\",\"profile\":\"%s\"", language_name(sub->language),
               profile_name(sub->profile));
    put_webhook(sub, &meta);
    buf_puts(&meta, "}");
    struct payload payload = {.meta = buf_span(&meta), .sections = 2};
    payload.section[0].kind = SECTION_CODE;
    payload.section[0].bytes = sub->code;
    payload.section[1].kind = SECTION_STDIN;
    payload.section[1].bytes = sub->stdin_data;
    int rc = meta.failed ? err_set(err, ERR_NO_MEMORY, "submission: no memory")
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

int submission_unpack(struct span payload, struct arena *arena, struct submission *out,
                      struct err *err)
{
    struct payload parts;
    struct span names[META_RULES];
    struct submission sub = {.code = {NULL, 0}};
    if (payload_unpack(payload, &parts, err))
        return -1;
    for (size_t i = 0; i < parts.sections; i++)
        if (parts.section[i].kind != SECTION_CODE && parts.section[i].kind != SECTION_STDIN)
            return err_set(err, ERR_INVALID, "payload: section %zu is neither code nor stdin", i);
    if (fields_parse(parts.meta, meta_rules, META_RULES, arena, names, NULL, err))
        return err_wrap(err, "payload metadata");
    sub.code = payload_section(&parts, SECTION_CODE);
    sub.stdin_data = payload_section(&parts, SECTION_STDIN);
    if (check_text(&body_rules[CODE], sub.code, err) ||
        check_text(&body_rules[STDIN], sub.stdin_data, err) ||
        take_webhook(names[META_URL], names[META_SECRET], &sub, NULL, err) ||
        find_names(names[META_LANGUAGE], names[META_PROFILE], &sub, NULL, err))
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
