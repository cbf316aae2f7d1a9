/* rustbox submit: one file in, one verdict out. The request carries an Idempotency-Key, so that it
 * can be repeated after a lost answer without running twice. */
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/base/uuid.h"
#include "producers/cli/cli.h"
#include "schemas/submission.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define API_WAIT_S 30 /* the API's own wait, [gateway] wait_timeout */

enum {
    LANGUAGE,
    STDIN,
    PROFILE,
    A_FILE,
    ARG,
    LIMIT,
    LABEL,
    CASES,
    CHECKER,
    STOP,
    KEY,
    NO_WAIT,
    TIMEOUT
};
static const struct option options[] = {
    [LANGUAGE] = {"--language", "NAME", "instead of the file's extension"},
    [STDIN] = {"--stdin", "FILE|-", "what the program reads; - is this command's own stdin"},
    [PROFILE] = {"--profile", "NAME", "judge (default) or agent"},
    [A_FILE] = {"--file", "PATH",
                "a file to lie beside the source, under its path if that is "
                "relative without .., else its last part; repeatable",
                true},
    [ARG] = {"--arg", "TEXT", "one more argument of the program; repeatable", true},
    [LIMIT] = {"--limit", "NAME=N",
               "cpu_ms wall_ms memory_bytes processes output_bytes or "
               "file_bytes, lower than the profile's; repeatable",
               true},
    [LABEL] = {"--label", "NAME=TEXT", "to find it by: rustbox list --label; repeatable", true},
    [CASES] = {"--cases", "PATH",
               "run it once a case: a JSON file with the API's array, or a folder with "
               "NAME.in and NAME.out"},
    [CHECKER] = {"--checker", "NAME",
                 "of a folder's cases: trimmed (default), exact, tokens, float:ABS,REL"},
    [STOP] = {"--stop-on-fail", NULL, "run nothing behind the first case that fails"},
    [KEY] = {"--idempotency-key", "TEXT", "the same key and content give the same submission"},
    [NO_WAIT] = {"--no-wait", NULL, "print the id and end (exit code 11)"},
    [TIMEOUT] = {"--timeout", "S", "stop waiting after so many seconds (default 300; 0: never)"},
};

int read_file(const char *path, size_t max, struct buf *out, struct err *err)
{
    bool own = strcmp(path, "-") == 0;
    AUTO_FD int fd = own ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, ERR_CONFIG, "%s", path);
    for (;;) {
        char *room = buf_reserve(out, 65536);
        ssize_t got = room ? read(fd, room, 65536) : -1;
        if (!room)
            return err_set(err, ERR_NO_MEMORY, "%s", path);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_CONFIG, "%s", path);
        buf_grow(out, (size_t)got);
        if (out->len > max)
            return err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max);
        if (got == 0)
            return 0;
    }
}

static int quote(const char *name, const struct buf *text, struct buf *body, struct err *err)
{
    struct span span = buf_span(text);
    if (!utf8_valid(span) || (span.len > 0 && memchr(span.data, 0, span.len)))
        return err_set(err, ERR_INVALID, "%s must be UTF-8 text without NUL", name);
    buf_printf(body, ",\"%s\":", name);
    json_quote(span, body);
    return 0;
}

static int language_of(const struct args *args, enum language *out, struct err *err)
{
    const char *path = args->positional[0], *dot = strrchr(path, '.');
    const char *name = args->value[LANGUAGE] ? args->value[LANGUAGE] : dot ? dot + 1 : "";
    if (language_find(span_text(name), out) == 0)
        return 0;
    return err_set(
        err, ERR_CONFIG,
        "%s: no language has the name or extension \"%s\"; give --language python, c, cpp, java, "
        "javascript, typescript, go or rust",
        path, name);
}

static int make_body(const struct args *args, struct buf *body, struct err *err)
{
    BUF_AUTO struct buf code = {.max = CODE_BYTES_MAX + 2 * 65536};
    BUF_AUTO struct buf input = {.max = STDIN_BYTES_MAX + 2 * 65536};
    enum language language;
    if (read_file(args->positional[0], CODE_BYTES_MAX, &code, err) ||
        language_of(args, &language, err) ||
        (args->value[STDIN] && read_file(args->value[STDIN], STDIN_BYTES_MAX, &input, err)))
        return -1;
    buf_printf(body, "{\"language\":\"%s\"", language_name(language));
    if (quote("code", &code, body, err) ||
        (args->value[STDIN] && quote("stdin", &input, body, err)))
        return -1;
    if (args->value[PROFILE]) {
        buf_puts(body, ",\"profile\":");
        json_quote(span_text(args->value[PROFILE]), body);
    }
    static const struct submit_options repeated = {
        .file = A_FILE, .arg = ARG, .limit = LIMIT, .label = LABEL};
    if (submit_fields(args, &repeated, body, err) ||
        submit_cases(args->value[CASES], args->value[CHECKER], args->value[STOP] != NULL, body,
                     err))
        return -1;
    buf_puts(body, "}");
    return body->failed ? err_set(err, ERR_NO_MEMORY, "the request body") : 0;
}

/* Sends, and follows a 408 to the verdict. Who waits for less than the API does asks instead. */
static int submit_and_wait(const struct args *args, struct api *api, struct span body,
                           int timeout_s, json_t **json, struct err *err)
{
    int status;
    char key[UUID_TEXT];
    struct rnd rnd = rnd_system();
    struct uuid fresh = uuid_v7(&clock_system, &rnd);
    uuid_format(&fresh, key);
    int64_t begin_ms = cli_now_ms();
    bool leaves = args->value[NO_WAIT] != NULL, asks = timeout_s > 0 && timeout_s <= API_WAIT_S;
    const char *path = leaves || asks ? "/api/submit?wait=false" : "/api/submit?wait=true";
    if (api_call(api, "POST", path, body, args->value[KEY] ? args->value[KEY] : key, &status, json,
                 err))
        return -1;
    if (status == 200 || (status == 202 && leaves))
        return 0;
    if ((status == 202 || status == 408) && json_text(*json, "id")[0]) {
        char id[UUID_TEXT];
        snprintf(id, sizeof id, "%s", json_text(*json, "id"));
        json_decref(*json);
        *json = NULL;
        return api_await(api, id, begin_ms, timeout_s, json, err);
    }
    api_refused(status, *json, err);
    json_decref(*json);
    *json = NULL;
    return -1;
}

static int run(const struct args *args, int *exit_code, struct err *err)
{
    struct api *api;
    json_t *json = NULL;
    int64_t timeout_s;
    BUF_AUTO struct buf body = {.max = 4 * BODY_BYTES_MAX};
    *exit_code = EXIT_USAGE;
    if (option_number(args, TIMEOUT, "--timeout", 300, 1000000, &timeout_s, err) ||
        make_body(args, &body, err) || api_open(args, &api, err))
        return -1;
    *exit_code = EXIT_FAILED;
    int failed = submit_and_wait(args, api, buf_span(&body), (int)timeout_s, &json, err);
    if (!failed)
        *exit_code = print_result(json, args->json);
    else if (err->code == ERR_TIMEOUT)
        *exit_code = EXIT_OPEN;
    json_decref(json);
    api_close(api);
    return failed;
}

const struct verb verb_submit = {
    .name = "submit",
    .positional = "FILE ",
    .positionals = 1,
    .summary = "run a program and print its verdict",
    .details = "The language comes from the extension: py c cpp cc cxx c++ java js ts go rs.\n"
               "Waits for the verdict, also beyond the API's own 30 seconds.",
    .options = options,
    .option_count = COUNT_OF(options),
    .run = run,
};
