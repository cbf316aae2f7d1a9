/* What the verbs of the command `rustbox` share: their table row, the parsed command line, the API
 * client, and the ways to print. A verb is one function in a file of its own; main.c has the table
 * and prints errors, once. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/config/config.h"
#include <jansson.h>

/* Exit codes of all verbs; `rustbox --help` prints them. */
enum exit_code {
    EXIT_AC = 0, /* or: done */
    EXIT_RE = 1, /* of balance: the difference is not 0 */
    EXIT_USAGE = 2,
    EXIT_TLE = 3,
    EXIT_MLE = 4,
    EXIT_SIG = 5,
    EXIT_IE = 6,
    EXIT_FAILED = 7, /* API, network, database or broker */
    EXIT_WA = 8,
    EXIT_PLE = 9,
    EXIT_FSE = 10,
    EXIT_OPEN = 11,        /* no verdict yet */
    EXIT_NO_EVIDENCE = 12, /* verify: no program ran, or the body has no evidence */
};

struct option {
    const char *name;  /* "--profile" */
    const char *value; /* what to show for its value; NULL = a switch */
    const char *help;
    bool repeats; /* each of them is kept in args.repeated, in their order */
};
#define OPTIONS_MAX 16
#define REPEATED_MAX 512
#define POSITIONALS_MAX 2

struct verb;
struct args {
    const struct verb *verb;
    const char
        *value[OPTIONS_MAX]; /* by the verb's option index; NULL = not given, "" = a switch */
    const char *positional[POSITIONALS_MAX];
    size_t positionals;
    struct {
        size_t option;
        const char *value;
    } repeated[REPEATED_MAX];
    size_t repeated_count;
    bool json;
    const char *api, *key, *config_path;
};

struct verb {
    const char *name;       /* "admin key create" */
    const char *positional; /* "FILE", "" = none */
    size_t positionals;     /* exactly so many */
    bool positionals_optional;
    const char *summary;
    const char *details; /* may be NULL */
    const struct option *options;
    size_t option_count;
    int (*run)(const struct args *args, int *exit_code, struct err *err);
};

/* ---- the API ---- */
struct api;
int api_open(const struct args *args, struct api **out, struct err *err) MUST_CHECK;
void api_close(struct api *api);
/* One request; *json is the parsed answer of any status (json_decref it). `key` is the
 * Idempotency-Key or NULL. Network errors, 429 and 503 are tried again when the request is
 * repeatable: GET, or POST with a key. */
int api_call(struct api *api, const char *method, const char *path, struct span body,
             const char *key, int *status, json_t **json, struct err *err) MUST_CHECK;
/* ERR_DENIED with the API's own words, for a status that is no success. */
int api_refused(int status, const json_t *json, struct err *err);
/* Polls GET /api/result/{id} until it is terminal; timeout_s after since_ms (cli_now_ms) it is
 * ERR_TIMEOUT: still open. 0 = never. */
int api_await(struct api *api, const char *id, int64_t since_ms, int timeout_s, json_t **json,
              struct err *err) MUST_CHECK;
int64_t cli_now_ms(void);
void cli_sleep_ms(int64_t ms);
/* Appends &name=value, with everything but unreserved characters as %XX (RFC 3986). */
void cli_query(struct buf *path, const char *name, const char *value);
const char *json_text(const json_t *object, const char *name); /* "" when it is not there */

/* ---- the body of submit ---- */
/* The whole of a file, at most max bytes. "-" is stdin. */
int read_file(const char *path, size_t max, struct buf *out, struct err *err) MUST_CHECK;
/* Members of the body, each with a comma before it, from the repeated options of these numbers. */
struct submit_options {
    size_t file, arg, limit, label;
};
int submit_fields(const struct args *args, const struct submit_options *options, struct buf *body,
                  struct err *err) MUST_CHECK;

/* `cases` from a JSON file or a folder; nothing when path is NULL. */
int submit_cases(const char *path, const char *checker, bool stop_on_fail, struct buf *body,
                 struct err *err) MUST_CHECK;

/* ---- printing ---- */
void print_json(const json_t *json); /* compact, one line */
/* What somebody else wrote, as a part of a line: without characters that begin a new line or drive
 * the reader's terminal. */
void put_field(struct buf *out, struct span text);
/* A page of a list, and the command that asks for the next; takes json. Returns 0. */
int print_page(const struct args *args, json_t *json, const char *name,
               void (*print)(const json_t *row));
/* Bytes of a program for a person; on a terminal without control characters. */
void print_output(const char *title, const json_t *body, const char *name);
int print_result(const json_t *body, bool json_wanted); /* returns the exit code of its verdict */

/* ---- administration ---- */
int cli_config(const struct args *args, struct config **out, struct err *err) MUST_CHECK;
int option_number(const struct args *args, int option, const char *name, int64_t fallback,
                  int64_t max, int64_t *out, struct err *err) MUST_CHECK;

extern const struct verb verb_submit, verb_result, verb_verify, verb_watch, verb_list, verb_usage,
    verb_balance, verb_webhook_create, verb_webhook_list, verb_webhook_show, verb_webhook_update,
    verb_webhook_rotate, verb_webhook_test, verb_webhook_enable, verb_webhook_disable,
    verb_webhook_delete, verb_webhook_deliveries, verb_webhook_attempts, verb_webhook_redeliver,
    verb_dead_list, verb_dead_show, verb_dead_redrive, verb_dead_purge, verb_admin_migrate,
    verb_admin_topics, verb_admin_warm, verb_admin_project_create, verb_admin_project_list,
    verb_admin_key_create, verb_admin_key_list, verb_admin_key_revoke;
