/* rustbox webhook ...: a project's webhook endpoints and what became of their messages, through the
 * API. One table of calls; the verbs differ in method, path, body and how a line looks. */
#include "lib/base/strict.h"
#include "lib/base/uuid.h"
#include "producers/cli/cli.h"
#include <stdio.h>
#include <stdlib.h>

static int call(const struct args *args, const char *method, const char *path, json_t *body,
                json_t **answer, struct err *err)
{
    struct api *api;
    int status, failed = -1;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (api_open(args, &api, err) == 0) {
        if (api_call(api, method, path, span_text(text), NULL, &status, answer, err) == 0) {
            failed = status == 200 ? 0 : api_refused(status, *answer, err);
            if (failed) {
                json_decref(*answer);
                *answer = NULL;
            }
        }
        api_close(api);
    }
    free(text);
    return failed;
}

static int path_of(const struct args *args, const char *verb, struct buf *path, int *exit_code,
                   struct err *err)
{
    struct uuid id;
    if (uuid_parse(span_text(args->positional[0]), &id)) {
        *exit_code = EXIT_USAGE;
        return err_set(err, ERR_CONFIG,
                       "\"%.64s\" is not an id: 36 characters, as webhook list prints it",
                       args->positional[0]);
    }
    buf_printf(path, "/api/webhooks/%s%s", args->positional[0], verb);
    return 0;
}

static json_t *list_of(const char *words)
{
    json_t *list = json_array();
    for (const char *at = words; at && *at;) {
        size_t len = strcspn(at, ",");
        json_array_append_new(list, json_stringn(at, len));
        at += len + (at[len] == ',');
    }
    return list;
}

static void put_option(json_t *body, const char *name, const char *value)
{
    if (value)
        json_object_set_new(body, name, json_string(value));
}

static void print_events(const json_t *events)
{
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        printf("%s%s", i ? "," : "", json_string_value(event));
    }
}

static void print_endpoint(const json_t *row)
{
    printf("%s  %-8s %s  ", json_text(row, "id"), json_text(row, "state"), json_text(row, "url"));
    print_events(json_object_get(row, "events"));
    putchar('\n');
}

static void print_fields(const json_t *row)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)row, name, value)
    {
        if (json_is_string(value)) {
            BUF_AUTO struct buf text = {.max = 8192};
            put_field(&text, span_text(json_string_value(value)));
            printf("%-16s %s\n", name, buf_text(&text));
        } else if (strcmp(name, "events") == 0) {
            printf("%-16s ", name);
            print_events(value);
            putchar('\n');
        } else {
            printf("%-16s ", name);
            json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
            putchar('\n');
        }
    }
}

static int show(const struct args *args, json_t *json)
{
    if (args->json)
        print_json(json);
    else
        print_fields(json);
    json_decref(json);
    return 0;
}

/* ---- create, update, rotate ---- */

enum { C_EVENTS, C_DESCRIPTION, C_ALGORITHM, C_SECRET };
static const struct option create_options[] = {
    [C_EVENTS] = {"--events", "A,B", "default submission.completed,submission.failed"},
    [C_DESCRIPTION] = {"--description", "TEXT", "for people"},
    [C_ALGORITHM] = {"--algorithm", "NAME", "v1 (HMAC-SHA-256, default) or v1a (Ed25519)"},
    [C_SECRET] = {"--secret", "TEXT", "a whsec_ secret of yours; else one is made"},
};

static int run_create(const struct args *args, int *exit_code, struct err *err)
{
    json_t *body = json_object(), *answer;
    (void)exit_code;
    put_option(body, "url", args->positional[0]);
    if (args->value[C_EVENTS])
        json_object_set_new(body, "events", list_of(args->value[C_EVENTS]));
    put_option(body, "description", args->value[C_DESCRIPTION]);
    put_option(body, "algorithm", args->value[C_ALGORITHM]);
    put_option(body, "secret", args->value[C_SECRET]);
    if (call(args, "POST", "/api/webhooks", body, &answer, err))
        return -1;
    return show(args, answer);
}

enum { U_URL, U_EVENTS, U_DESCRIPTION };
static const struct option update_options[] = {
    [U_URL] = {"--url", "URL", "where it goes from now on"},
    [U_EVENTS] = {"--events", "A,B", "what it is told"},
    [U_DESCRIPTION] = {"--description", "TEXT", "for people"},
};

static int run_update(const struct args *args, int *exit_code, struct err *err)
{
    BUF_AUTO struct buf path = {.max = 200};
    json_t *answer;
    if (path_of(args, "", &path, exit_code, err))
        return -1;
    json_t *body = json_object();
    put_option(body, "url", args->value[U_URL]);
    if (args->value[U_EVENTS])
        json_object_set_new(body, "events", list_of(args->value[U_EVENTS]));
    put_option(body, "description", args->value[U_DESCRIPTION]);
    if (json_object_size(body) == 0) {
        json_decref(body);
        *exit_code = EXIT_USAGE;
        return err_set(err, ERR_CONFIG, "nothing to change: give --url, --events or --description");
    }
    if (call(args, "PATCH", buf_text(&path), body, &answer, err))
        return -1;
    return show(args, answer);
}

enum { R_ALGORITHM, R_SECRET };
static const struct option rotate_options[] = {
    [R_ALGORITHM] = {"--algorithm", "NAME", "v1 (default) or v1a"},
    [R_SECRET] = {"--secret", "TEXT", "a whsec_ secret of yours; else one is made"},
};

static int run_rotate(const struct args *args, int *exit_code, struct err *err)
{
    BUF_AUTO struct buf path = {.max = 200};
    json_t *answer;
    if (path_of(args, "/rotate", &path, exit_code, err))
        return -1;
    json_t *body = json_object();
    put_option(body, "algorithm", args->value[R_ALGORITHM]);
    put_option(body, "secret", args->value[R_SECRET]);
    if (call(args, "POST", buf_text(&path), body, &answer, err))
        return -1;
    return show(args, answer);
}

/* ---- one endpoint, no body ---- */

static int plain(const struct args *args, const char *method, const char *verb, int *exit_code,
                 struct err *err)
{
    BUF_AUTO struct buf path = {.max = 200};
    json_t *answer;
    if (path_of(args, verb, &path, exit_code, err) ||
        call(args, method, buf_text(&path), NULL, &answer, err))
        return -1;
    return show(args, answer);
}

#define PLAIN(name, method, verb)                                                                  \
    static int run_##name(const struct args *args, int *exit_code, struct err *err)                \
    {                                                                                              \
        return plain(args, method, verb, exit_code, err);                                          \
    }
PLAIN(show, "GET", "")
PLAIN(test, "POST", "/test")
PLAIN(enable, "POST", "/enable")
PLAIN(disable, "POST", "/disable")
PLAIN(delete, "DELETE", "")

/* ---- lists ---- */

enum { L_LIMIT, L_CURSOR, L_WHICH };
static const struct option list_options[] = {
    [L_LIMIT] = {"--limit", "N", "rows of this page, 1 to 500 (default 50)"},
    [L_CURSOR] = {"--cursor", "TEXT", "where the page before ended"},
};
static const struct option deliveries_options[] = {
    [L_LIMIT] = {"--limit", "N", "rows of this page, 1 to 500 (default 50)"},
    [L_CURSOR] = {"--cursor", "TEXT", "where the page before ended"},
    [L_WHICH] = {"--state", "NAME", "only pending, delivered, dead or dropped ones"},
};
static const struct option attempts_options[] = {
    [L_LIMIT] = {"--limit", "N", "rows of this page, 1 to 500 (default 50)"},
    [L_CURSOR] = {"--cursor", "TEXT", "where the page before ended"},
    [L_WHICH] = {"--message", "ID", "only of this message"},
};

static void print_delivery(const json_t *row)
{
    const char *due = json_text(row, "next_attempt_at"), *error = json_text(row, "last_error");
    printf("%s  %-9s %-20s attempts %lld  %s%s%s%s\n", json_text(row, "message_id"),
           json_text(row, "state"), json_text(row, "event"),
           (long long)json_integer_value(json_object_get(row, "attempts")),
           json_text(row, "created_at"), error[0] ? "  " : "", error, "");
    if (due[0])
        printf("  next attempt %s\n", due);
}

static void print_attempt(const json_t *row)
{
    long long status = json_integer_value(json_object_get(row, "status"));
    printf("%s  %s  %-9s %3lld  %8.1f ms  %s  %s\n", json_text(row, "at"),
           json_text(row, "message_id"), json_text(row, "outcome"), status,
           json_number_value(json_object_get(row, "latency_ms")), json_text(row, "address"),
           status >= 200 && status < 300 ? "" : json_text(row, "message"));
}

struct table {
    const char *verb, *rows, *which; /* which: the query argument of option L_WHICH */
    void (*print)(const json_t *row);
};

static int list(const struct args *args, const struct table *table, int *exit_code, struct err *err)
{
    BUF_AUTO struct buf path = {.max = 1000};
    int64_t limit;
    json_t *json;
    *exit_code = EXIT_USAGE;
    if (option_number(args, L_LIMIT, "--limit", 50, 500, &limit, err))
        return -1;
    if (args->positionals > 0 && path_of(args, table->verb, &path, exit_code, err))
        return -1;
    *exit_code = EXIT_AC;
    buf_printf(&path, "%s?limit=%d", args->positionals ? "" : "/api/webhooks", (int)limit);
    if (args->value[L_CURSOR])
        cli_query(&path, "cursor", args->value[L_CURSOR]);
    if (table->which && args->value[L_WHICH])
        cli_query(&path, table->which, args->value[L_WHICH]);
    if (path.failed)
        return err_set(err, ERR_CONFIG, "the options are too long");
    if (call(args, "GET", buf_text(&path), NULL, &json, err))
        return -1;
    return print_page(args, json, table->rows, table->print);
}

static int run_list(const struct args *args, int *exit_code, struct err *err)
{
    static const struct table table = {"", "webhooks", NULL, print_endpoint};
    return list(args, &table, exit_code, err);
}

static int run_deliveries(const struct args *args, int *exit_code, struct err *err)
{
    static const struct table table = {"/deliveries", "deliveries", "state", print_delivery};
    return list(args, &table, exit_code, err);
}

static int run_attempts(const struct args *args, int *exit_code, struct err *err)
{
    static const struct table table = {"/attempts", "attempts", "message_id", print_attempt};
    return list(args, &table, exit_code, err);
}

/* ---- again ---- */

enum { D_MESSAGE, D_STATE, D_SINCE, D_UNTIL, D_ALL_DEAD };
static const struct option redeliver_options[] = {
    [D_MESSAGE] = {"--message", "ID", "this one"},
    [D_STATE] = {"--state", "NAME", "all that are dead, dropped or delivered"},
    [D_SINCE] = {"--since", "TIME", "not older, like 2026-11-23T20:15:00Z"},
    [D_UNTIL] = {"--until", "TIME", "older"},
    [D_ALL_DEAD] = {"--all-dead", NULL, "the same as --state dead"},
};

static int run_redeliver(const struct args *args, int *exit_code, struct err *err)
{
    BUF_AUTO struct buf path = {.max = 200};
    json_t *answer;
    if (path_of(args, "/redeliver", &path, exit_code, err))
        return -1;
    json_t *body = json_object();
    put_option(body, "message_id", args->value[D_MESSAGE]);
    put_option(body, "state", args->value[D_ALL_DEAD] ? "dead" : args->value[D_STATE]);
    put_option(body, "since", args->value[D_SINCE]);
    put_option(body, "until", args->value[D_UNTIL]);
    bool both = args->value[D_ALL_DEAD] && args->value[D_STATE];
    if (json_object_size(body) == 0 || both) {
        json_decref(body);
        *exit_code = EXIT_USAGE;
        return err_set(err, ERR_CONFIG,
                       both ? "--all-dead is --state dead: give one of them"
                            : "say which: --message, --all-dead, --state, --since or --until");
    }
    if (call(args, "POST", buf_text(&path), body, &answer, err))
        return -1;
    return show(args, answer);
}

#define VERB(verb_name, text, positional_text, count, ...)                                         \
    const struct verb verb_webhook_##verb_name = {.name = "webhook " #verb_name,                   \
                                                  .positional = positional_text,                   \
                                                  .positionals = count,                            \
                                                  .summary = text,                                 \
                                                  .run = run_##verb_name,                          \
                                                  ##__VA_ARGS__}
#define OPTIONS(table) .options = table, .option_count = COUNT_OF(table)
VERB(create, "make a webhook endpoint; its secret is shown this once", "URL ", 1,
     OPTIONS(create_options));
VERB(list, "list webhook endpoints", "", 0, OPTIONS(list_options));
VERB(show, "print a webhook endpoint", "ID ", 1);
VERB(update, "change a webhook endpoint", "ID ", 1, OPTIONS(update_options));
VERB(rotate, "make a new secret; the old one signs too for 24 h", "ID ", 1,
     OPTIONS(rotate_options));
VERB(test, "send a test message", "ID ", 1);
VERB(enable, "deliver again", "ID ", 1);
VERB(disable, "deliver nothing until it is enabled", "ID ", 1);
VERB(delete, "delete a webhook endpoint", "ID ", 1);
VERB(deliveries, "list messages and their state", "ID ", 1, OPTIONS(deliveries_options));
VERB(attempts, "list delivery attempts", "ID ", 1, OPTIONS(attempts_options));
VERB(redeliver, "deliver messages again, under the same webhook-id", "ID ", 1,
     OPTIONS(redeliver_options));
