/* The repeated options of `rustbox submit` as members of its body. The API has the rules; here is
 * refused only what could not be written as JSON. */
#include "lib/base/enc.h"
#include "producers/cli/cli.h"
#include "schemas/submission.h"
#include <ctype.h>

static int quote_text(const char *option, struct span text, struct buf *body, struct err *err)
{
    if (!utf8_valid(text))
        return err_set(err, ERR_CONFIG, "%s must be UTF-8", option);
    json_quote(text, body);
    return 0;
}

static int put_args(const struct args *args, size_t option, struct buf *body, struct err *err)
{
    const char *comma = ",\"args\":[";
    for (size_t i = 0; i < args->repeated_count; i++) {
        if (args->repeated[i].option != option)
            continue;
        buf_puts(body, comma);
        comma = ",";
        if (quote_text("--arg", span_text(args->repeated[i].value), body, err))
            return -1;
    }
    buf_puts(body, comma[1] ? "" : "]");
    return 0;
}

/* "lib/a.h" stays, "./a.h" is a.h, "../a.h" and "/x/a.h" are a.h. */
static struct span path_inside(const char *path)
{
    const char *slash = strrchr(path, '/');
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    return span_text(file_path_rule(span_text(path)) && slash ? slash + 1 : path);
}

static int put_content(const struct buf *content, struct buf *body)
{
    struct span bytes = buf_span(content);
    if (utf8_valid(bytes) && (bytes.len == 0 || !memchr(bytes.data, 0, bytes.len))) {
        buf_puts(body, ",\"content\":");
        json_quote(bytes, body);
        return 0;
    }
    buf_puts(body, ",\"content_base64\":\"");
    char *room = buf_reserve(body, BASE64_SIZE(bytes.len));
    if (!room)
        return -1;
    base64_encode(bytes.data, bytes.len, room);
    buf_grow(body, BASE64_SIZE(bytes.len) - 1);
    buf_puts(body, "\"");
    return 0;
}

static int put_files(const struct args *args, size_t option, struct buf *body, struct err *err)
{
    const char *begin = ",\"files\":[";
    for (size_t i = 0; i < args->repeated_count; i++) {
        if (args->repeated[i].option != option)
            continue;
        BUF_AUTO struct buf content = {.max = GIVEN_FILES_BYTES + 2 * 65536};
        if (read_file(args->repeated[i].value, GIVEN_FILES_BYTES, &content, err))
            return -1;
        buf_printf(body, "%s{\"path\":", begin);
        begin = ",";
        if (quote_text("--file", path_inside(args->repeated[i].value), body, err))
            return -1;
        if (put_content(&content, body))
            return err_set(err, ERR_NO_MEMORY, "the request body");
        buf_puts(body, "}");
    }
    buf_puts(body, begin[1] ? "" : "]");
    return 0;
}

/* NAME=VALUE as members of an object; numbers bare. */
static int put_pairs(const struct args *args, size_t option, const char *name, bool numbers,
                     struct buf *body, struct err *err)
{
    const char *comma = "";
    for (size_t i = 0; i < args->repeated_count; i++) {
        const char *text = args->repeated[i].value, *equals;
        uint64_t number;
        if (args->repeated[i].option != option)
            continue;
        equals = strchr(text, '=');
        if (!equals || equals == text)
            return err_set(err, ERR_CONFIG, "--%s must be NAME=VALUE", name);
        if (numbers && span_u64(span_text(equals + 1), &number))
            return err_set(err, ERR_CONFIG, "--%s: the value must be a whole number", name);
        if (comma[0])
            buf_puts(body, comma);
        else
            buf_printf(body, ",\"%ss\":{", name);
        comma = ",";
        if (quote_text(name, span_of(text, (size_t)(equals - text)), body, err))
            return -1;
        buf_puts(body, ":");
        if (numbers)
            buf_puts(body, equals + 1);
        else if (quote_text(name, span_text(equals + 1), body, err))
            return -1;
    }
    buf_puts(body, comma[0] ? "}" : "");
    return 0;
}

int submit_fields(const struct args *args, const struct submit_options *options, struct buf *body,
                  struct err *err)
{
    return put_args(args, options->arg, body, err) || put_files(args, options->file, body, err) ||
                   put_pairs(args, options->limit, "limit", true, body, err) ||
                   put_pairs(args, options->label, "label", false, body, err)
               ? -1
               : 0;
}
