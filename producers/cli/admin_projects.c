/* rustbox admin project and key: stores in PostgreSQL, then tells the gateways on `control`. A key
 * is shown once; what is stored is its SHA-256. */
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/http/http.h"
#include "producers/cli/admin.h"
#include "schemas/apikey.h"
#include <stdio.h>

#define TIMEOUT_MS 10000
#define KNOWN_TIMEOUT_MS 5000
#define KNOWN_PAUSE_MS 5

static int usage_error(int *exit_code, struct err *err, const char *message)
{
    *exit_code = EXIT_USAGE;
    return err_set(err, ERR_CONFIG, "%s", message);
}

static int need_uuid(const char *text, const char *what, struct uuid *out, int *exit_code,
                     struct err *err)
{
    if (text && uuid_parse(span_text(text), out) == 0)
        return 0;
    *exit_code = EXIT_USAGE;
    return err_set(err, ERR_CONFIG, "%s must be an id of 36 characters (see the lists)", what);
}

static void put_member(struct buf *out, const char *name, struct span text)
{
    buf_printf(out, "%s\"%s\":", out->len > 0 && out->data[out->len - 1] != '{' ? "," : "", name);
    if (text.data)
        json_quote(text, out);
    else
        buf_puts(out, "null");
}

/* A page of a list as {"NAME":[{...}]} or as lines. All columns are text. */
static void print_rows(const struct db_result *rows, const char *name, const char *const *columns,
                       size_t count, bool json)
{
    BUF_AUTO struct buf out = {.max = 64 * 1024 * 1024};
    if (json)
        buf_printf(&out, "{\"%s\":[", name);
    for (size_t row = 0; row < db_rows(rows); row++) {
        if (json)
            buf_puts(&out, row ? ",{" : "{");
        for (size_t i = 0; i < count; i++) {
            struct span text = db_get_text(rows, row, (int)i);
            if (json)
                put_member(&out, columns[i],
                           db_is_null(rows, row, (int)i) ? span_of(NULL, 0) : text);
            else
                buf_puts(&out, i ? "  " : "");
            if (!json)
                put_field(&out, text.len > 0 ? text : SPAN_LIT("-"));
        }
        buf_puts(&out, json ? "}" : "\n");
    }
    if (json)
        buf_puts(&out, "]}\n");
    fputs(buf_text(&out), stdout);
}

static int list(const struct args *args, const struct db_statement *statement,
                const struct db_param *params, size_t count, const char *name,
                const char *const *columns, size_t column_count, struct err *err)
{
    struct admin admin;
    DB_RESULT_AUTO rows = {0};
    int failed = admin_open(args, SETTING_db_url_admin, TIMEOUT_MS, &admin, err);
    if (!failed)
        failed = db_exec(admin.db, statement, params, count, &rows, err);
    if (!failed)
        print_rows(&rows, name, columns, column_count, args->json);
    admin_close(&admin);
    return failed;
}

/* ---- projects ---- */

enum { P_NAME, P_PLAN, P_TAXONOMY };
static const struct option project_options[] = {
    [P_NAME] = {"--name", "TEXT", "1 to 100 characters (required)"},
    [P_PLAN] = {"--plan", "NAME", "trial (default), standard or unlimited"},
    [P_TAXONOMY] = {"--taxonomy", "NAME",
                    "standard (default) or extended: PLE and FSE are verdicts"},
};

static int insert_project(struct admin *admin, const char *name, const struct control_event *event,
                          struct err *err)
{
    static const struct db_statement insert = {
        "project_insert",
        "INSERT INTO projects (id, name, plan, retention_class, taxonomy, created_at)"
        " VALUES ($1, $2, $3, $4::smallint, $5, $6)"};
    struct db_param params[] = {
        db_uuid(&event->project),
        db_text(name),
        db_text(plan_get(event->plan)->name),
        db_int(event->retention_class),
        db_text(event->taxonomy == TAXONOMY_EXTENDED ? "extended" : "standard"),
        db_time(event->at_ns),
    };
    return db_exec(admin->db, &insert, params, COUNT_OF(params), NULL, err);
}

static int run_project_create(const struct args *args, int *exit_code, struct err *err)
{
    const char *name = args->value[P_NAME], *taxonomy = args->value[P_TAXONOMY];
    const char *plan_name = args->value[P_PLAN] ? args->value[P_PLAN] : "trial";
    const struct plan *plan = plan_find(span_text(plan_name));
    if (!name || !name[0] || strlen(name) > 100 || !utf8_valid(span_text(name)))
        return usage_error(exit_code, err, "--name must be 1 to 100 bytes of UTF-8");
    if (!plan)
        return usage_error(exit_code, err, "--plan must be trial, standard or unlimited");
    if (taxonomy && strcmp(taxonomy, "standard") != 0 && strcmp(taxonomy, "extended") != 0)
        return usage_error(exit_code, err, "--taxonomy must be standard or extended");
    struct rnd rnd = rnd_system();
    struct control_event event = {
        .kind = CONTROL_EVENT_project_created,
        .project = uuid_v7(&clock_system, &rnd),
        .at_ns = clock_system.wall_ns(&clock_system),
        .plan = (enum plan_id)(plan - plan_get((enum plan_id)0)),
        .retention_class = RETENTION_CLASS_DEFAULT,
        .taxonomy = taxonomy && taxonomy[0] == 'e' ? TAXONOMY_EXTENDED : TAXONOMY_STANDARD,
    };
    struct admin admin;
    char id[UUID_TEXT];
    uuid_format(&event.project, id);
    int failed = admin_open(args, SETTING_db_url_admin, TIMEOUT_MS, &admin, err);
    if (!failed)
        failed = admin_producer(&admin, err) || insert_project(&admin, name, &event, err);
    if (!failed) {
        BUF_AUTO struct buf out = {.max = 2000};
        buf_puts(&out, "{");
        put_member(&out, "id", span_text(id));
        put_member(&out, "name", span_text(name));
        put_member(&out, "plan", span_text(plan->name));
        puts(args->json ? (buf_puts(&out, "}"), buf_text(&out)) : id);
        failed = admin_tell(&admin, &event, err);
    }
    admin_close(&admin);
    return failed;
}

static int run_project_list(const struct args *args, int *exit_code, struct err *err)
{
    static const struct db_statement select = {
        "project_list", "SELECT id::text, name, plan, retention_class::text, taxonomy,"
                        " to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
                        " to_char(deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                        " FROM projects ORDER BY id"};
    static const char *const columns[] = {"id",       "name",       "plan",      "retention_class",
                                          "taxonomy", "created_at", "deleted_at"};
    (void)exit_code;
    return list(args, &select, NULL, 0, "projects", columns, COUNT_OF(columns), err);
}

/* ---- keys ---- */

enum { K_PROJECT, K_LABEL, K_TEST };
static const struct option key_options[] = {
    [K_PROJECT] = {"--project", "ID", "whose key it is (required)"},
    [K_LABEL] = {"--label", "TEXT", "what it is for, at most 100 characters (default \"\")"},
    [K_TEST] = {"--test", NULL, "an rb_test_ key"},
};

static int insert_key(struct admin *admin, const struct control_event *event, const char *label,
                      const char *hint, struct err *err)
{
    static const struct db_statement insert = {
        "key_insert", "INSERT INTO api_keys (id, project_id, hash, kind, label, hint, created_at)"
                      " SELECT $1, id, $3, $4, $5, $6, $7 FROM projects"
                      " WHERE id = $2 AND deleted_at IS NULL"};
    struct db_param params[] = {
        db_uuid(&event->key),
        db_uuid(&event->project),
        db_bytes(span_of(event->key_sha256, sizeof event->key_sha256)),
        db_text(event->test_key ? "test" : "live"),
        db_text(label),
        db_text(hint),
        db_time(event->at_ns),
    };
    DB_RESULT_AUTO done = {0};
    if (db_exec(admin->db, &insert, params, COUNT_OF(params), &done, err))
        return -1;
    if (db_affected(&done) != 1)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no such project (`rustbox admin project list`)");
    return 0;
}

static void print_key(const struct args *args, const struct control_event *event, const char *key,
                      const char *label)
{
    char id[UUID_TEXT], project[UUID_TEXT];
    uuid_format(&event->key, id);
    uuid_format(&event->project, project);
    if (!args->json) {
        printf("%s\n", key);
        fprintf(stderr, "key %s; it is shown this once, only its hash is stored\n", id);
        return;
    }
    BUF_AUTO struct buf out = {.max = 2000};
    buf_puts(&out, "{");
    put_member(&out, "id", span_text(id));
    put_member(&out, "project", span_text(project));
    put_member(&out, "key", span_text(key));
    put_member(&out, "label", span_text(label));
    buf_puts(&out, "}");
    puts(buf_text(&out));
}

/* The status of an answer to this key; 0: none came. */
static int ask_gateway(struct http *http, const char *url, const char *key)
{
    char header[APIKEY_BYTES + 16];
    struct err err;
    snprintf(header, sizeof header, "X-API-Key: %s", key);
    const char *headers[] = {header, NULL};
    struct http_request request = {"GET", url, headers, span_of(NULL, 0), KNOWN_TIMEOUT_MS};
    struct http_answer answer = {.body = {.max = 65536}};
    int status = http_send(http, &request, &answer, &err) == 0 ? answer.status : 0;
    buf_done(&answer.body);
    wipe(header, sizeof header);
    return status;
}

/* A gateway learns of keys from the log, a moment after it was told: who uses the key as soon as
 * this command has ended should not be refused. The gateway of this configuration is asked; one
 * that is not there is not waited for. */
static void await_gateway(const struct admin *admin, const char *key)
{
    char url[300];
    struct http *http;
    struct err err;
    int64_t end_ms = cli_now_ms() + KNOWN_TIMEOUT_MS;
    snprintf(url, sizeof url, "http://%.250s/api/usage",
             config_text(admin->config, SETTING_gateway_listen));
    if (http_open(&http, &err))
        return;
    while (ask_gateway(http, url, key) == 401) {
        if (cli_now_ms() > end_ms) {
            fprintf(stderr, "the gateway does not know the key yet: is it behind? ops/status\n");
            break;
        }
        cli_sleep_ms(KNOWN_PAUSE_MS);
    }
    http_close(http);
}

static int run_key_create(const struct args *args, int *exit_code, struct err *err)
{
    const char *label = args->value[K_LABEL] ? args->value[K_LABEL] : "";
    struct rnd rnd = rnd_system();
    struct control_event event = {.kind = CONTROL_EVENT_key_created,
                                  .key = uuid_v7(&clock_system, &rnd),
                                  .at_ns = clock_system.wall_ns(&clock_system),
                                  .test_key = args->value[K_TEST] != NULL};
    if (need_uuid(args->value[K_PROJECT], "--project", &event.project, exit_code, err))
        return -1;
    if (strlen(label) > 100 || !utf8_valid(span_text(label)))
        return usage_error(exit_code, err, "--label must be at most 100 bytes of UTF-8");
    char key[APIKEY_BYTES + 1];
    apikey_generate(&rnd, event.test_key, key);
    sha256(span_text(key), event.key_sha256);
    struct admin admin;
    int failed = admin_open(args, SETTING_db_url_admin, TIMEOUT_MS, &admin, err);
    if (!failed)
        failed = admin_producer(&admin, err) ||
                 insert_key(&admin, &event, label, key + APIKEY_BYTES - 4, err);
    if (!failed) {
        print_key(args, &event, key, label);
        fflush(stdout);
        failed = admin_tell(&admin, &event, err);
    }
    if (!failed)
        await_gateway(&admin, key);
    admin_close(&admin);
    wipe(key, sizeof key);
    return failed;
}

static const struct option key_list_options[] = {
    [K_PROJECT] = {"--project", "ID", "only this project's"},
};

static int run_key_list(const struct args *args, int *exit_code, struct err *err)
{
    static const struct db_statement select = {
        "key_list", "SELECT id::text, project_id::text, kind, label, hint,"
                    " to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
                    " to_char(revoked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                    " FROM api_keys WHERE $1::uuid IS NULL OR project_id = $1 ORDER BY id"};
    static const char *const columns[] = {"id",   "project",    "kind",      "label",
                                          "hint", "created_at", "revoked_at"};
    struct uuid project;
    if (args->value[K_PROJECT] &&
        need_uuid(args->value[K_PROJECT], "--project", &project, exit_code, err))
        return -1;
    struct db_param param = args->value[K_PROJECT] ? db_uuid(&project) : db_null();
    return list(args, &select, &param, 1, "keys", columns, COUNT_OF(columns), err);
}

/* Repeating it tells the gateways again. */
static int revoke(struct admin *admin, struct control_event *event, struct err *err)
{
    static const struct db_statement update = {
        "key_revoke", "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1"
                      " RETURNING project_id, hash, kind"};
    struct db_param params[] = {db_uuid(&event->key), db_time(event->at_ns)};
    DB_RESULT_AUTO row = {0};
    if (db_exec(admin->db, &update, params, COUNT_OF(params), &row, err))
        return -1;
    if (db_rows(&row) != 1)
        return err_set(err, ERR_NOT_FOUND, "there is no such key (`rustbox admin key list`)");
    struct span hash = db_get_bytes(&row, 0, 1);
    CHECK(hash.len == sizeof event->key_sha256);
    memcpy(event->key_sha256, hash.data, hash.len);
    event->project = db_get_uuid(&row, 0, 0);
    event->test_key = span_is(db_get_text(&row, 0, 2), "test");
    return 0;
}

static int run_key_revoke(const struct args *args, int *exit_code, struct err *err)
{
    struct control_event event = {.kind = CONTROL_EVENT_key_revoked,
                                  .at_ns = clock_system.wall_ns(&clock_system)};
    struct admin admin;
    if (need_uuid(args->positional[0], "ID", &event.key, exit_code, err))
        return -1;
    int failed = admin_open(args, SETTING_db_url_admin, TIMEOUT_MS, &admin, err);
    if (!failed)
        failed = admin_producer(&admin, err) || revoke(&admin, &event, err) ||
                 admin_tell(&admin, &event, err);
    admin_close(&admin);
    if (failed)
        return -1;
    printf(args->json ? "{\"revoked\":\"%s\"}\n" : "%s is revoked\n", args->positional[0]);
    return 0;
}

const struct verb verb_admin_project_create = {
    .name = "admin project create",
    .positional = "",
    .summary = "make a project; prints its id",
    .options = project_options,
    .option_count = COUNT_OF(project_options),
    .run = run_project_create,
};
const struct verb verb_admin_project_list = {
    .name = "admin project list",
    .positional = "",
    .summary = "list the projects",
    .run = run_project_list,
};
const struct verb verb_admin_key_create = {
    .name = "admin key create",
    .positional = "",
    .summary = "make an API key; prints it, once",
    .details =
        "Returns when the gateway of this configuration accepts the key, at most 5 s later;\n"
        "other gateways learn of it within a second.\n",
    .options = key_options,
    .option_count = COUNT_OF(key_options),
    .run = run_key_create,
};
const struct verb verb_admin_key_list = {
    .name = "admin key list",
    .positional = "",
    .summary = "list keys: labels, times, last characters",
    .options = key_list_options,
    .option_count = COUNT_OF(key_list_options),
    .run = run_key_list,
};
const struct verb verb_admin_key_revoke = {
    .name = "admin key revoke",
    .positional = "ID ",
    .positionals = 1,
    .summary = "end a key; every gateway refuses it within a second",
    .run = run_key_revoke,
};
