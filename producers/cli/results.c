/* rustbox result, watch, list and usage: what the API knows, for a person or as JSON. */
#include "lib/base/strict.h"
#include "lib/base/uuid.h"
#include "producers/cli/cli.h"
#include <stdio.h>

/* Calls a GET path that must answer 200. */
static int get(const struct args *args, const char *path, json_t **json, struct err *err)
{
    struct api *api;
    int status, failed = -1;
    if (api_open(args, &api, err))
        return -1;
    if (api_call(api, "GET", path, span_of(NULL, 0), NULL, &status, json, err) == 0) {
        failed = status == 200 ? 0 : api_refused(status, *json, err);
        if (failed) {
            json_decref(*json);
            *json = NULL;
        }
    }
    api_close(api);
    return failed;
}

static int check_id(const char *id, int *exit_code, struct err *err)
{
    struct uuid parsed;
    if (uuid_parse(span_text(id), &parsed) == 0)
        return 0;
    *exit_code = EXIT_USAGE;
    return err_set(err, ERR_CONFIG, "\"%.64s\" is not an id: 36 characters, as submit printed it",
                   id);
}

static int run_result(const struct args *args, int *exit_code, struct err *err)
{
    char path[64];
    json_t *json = NULL;
    if (check_id(args->positional[0], exit_code, err))
        return -1;
    snprintf(path, sizeof path, "/api/result/%s", args->positional[0]);
    if (get(args, path, &json, err))
        return -1;
    *exit_code = print_result(json, args->json);
    json_decref(json);
    return 0;
}

enum { WATCH_TIMEOUT };
static const struct option watch_options[] = {
    [WATCH_TIMEOUT] = {"--timeout", "S", "stop waiting after so many seconds (default 0: never)"},
};

static int run_watch(const struct args *args, int *exit_code, struct err *err)
{
    struct api *api;
    json_t *json = NULL;
    int64_t timeout_s;
    if (option_number(args, WATCH_TIMEOUT, "--timeout", 0, 1000000, &timeout_s, err)) {
        *exit_code = EXIT_USAGE;
        return -1;
    }
    if (check_id(args->positional[0], exit_code, err) || api_open(args, &api, err))
        return -1;
    int failed = api_await(api, args->positional[0], cli_now_ms(), (int)timeout_s, &json, err);
    if (!failed)
        *exit_code = print_result(json, args->json);
    else if (err->code == ERR_TIMEOUT)
        *exit_code = EXIT_OPEN;
    json_decref(json);
    api_close(api);
    return failed;
}

enum { LIST_LIMIT, LIST_CURSOR, LIST_VERDICT, LIST_LANGUAGE, LIST_LABEL };
static const struct option list_options[] = {
    [LIST_LIMIT] = {"--limit", "N", "rows of this page, 1 to 500 (default 20)"},
    [LIST_CURSOR] = {"--cursor", "TEXT", "where the page before ended"},
    [LIST_VERDICT] = {"--verdict", "NAME", "only this verdict"},
    [LIST_LANGUAGE] = {"--language", "NAME", "only this language"},
    [LIST_LABEL] = {"--label", "NAME:TEXT", "only what was submitted with this label"},
};

void cli_query(struct buf *path, const char *name, const char *value)
{
    buf_printf(path, "&%s=", name);
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;
        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("-._~", c))
            buf_add(path, value, 1);
        else
            buf_printf(path, "%%%02X", c);
    }
}

static void print_row(const json_t *row)
{
    const char *verdict = json_text(row, "verdict");
    printf("%s  %-8s %-10s %s\n", json_text(row, "id"),
           verdict[0] ? verdict : json_text(row, "job_status"), json_text(row, "language"),
           json_text(row, "created_at"));
}

static int run_list(const struct args *args, int *exit_code, struct err *err)
{
    static const char *const names[] = {[LIST_CURSOR] = "cursor",
                                        [LIST_VERDICT] = "verdict",
                                        [LIST_LANGUAGE] = "language",
                                        [LIST_LABEL] = "label"};
    BUF_AUTO struct buf path = {.max = 1000};
    int64_t limit;
    json_t *json = NULL;
    *exit_code = EXIT_USAGE;
    if (option_number(args, LIST_LIMIT, "--limit", 20, 500, &limit, err))
        return -1;
    buf_printf(&path, "/api/submissions?limit=%d", (int)limit);
    for (size_t n = LIST_CURSOR; n < COUNT_OF(names); n++)
        if (args->value[n])
            cli_query(&path, names[n], args->value[n]);
    if (path.failed)
        return err_set(err, ERR_CONFIG, "the options are too long");
    *exit_code = EXIT_AC;
    if (get(args, buf_text(&path), &json, err))
        return -1;
    return print_page(args, json, "submissions", print_row);
}

static int run_usage(const struct args *args, int *exit_code, struct err *err)
{
    json_t *json = NULL;
    (void)exit_code;
    if (get(args, "/api/usage", &json, err))
        return -1;
    if (args->json) {
        print_json(json);
    } else {
        json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        putchar('\n');
    }
    json_decref(json);
    return 0;
}

const struct verb verb_result = {
    .name = "result",
    .positional = "ID ",
    .positionals = 1,
    .summary = "print a submission's result as it is now",
    .run = run_result,
};
const struct verb verb_watch = {
    .name = "watch",
    .positional = "ID ",
    .positionals = 1,
    .summary = "wait for a submission's verdict",
    .options = watch_options,
    .option_count = COUNT_OF(watch_options),
    .run = run_watch,
};
const struct verb verb_list = {
    .name = "list",
    .positional = "",
    .summary = "list submissions, newest first",
    .options = list_options,
    .option_count = COUNT_OF(list_options),
    .run = run_list,
};
const struct verb verb_usage = {
    .name = "usage",
    .positional = "",
    .summary = "print the project's quota and consumption",
    .run = run_usage,
};
