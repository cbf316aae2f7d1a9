/* What a project sees and does for itself: its usage, project and keys. Each request is one
 * statement; a change of keys is answered after its `control` record is acknowledged, so that every
 * gateway knows within a second (delivery.md rule 26). */
#include "lib/base/enc.h"
#include "producers/gateway/rows.h"
#include "schemas/apikey.h"

#define LABEL_MAX 100

struct ask {
    struct flight flight;
    struct request *req; /* NULL: gone */
    struct gateway *gw;
    struct project *project;
    /* of key changes */
    struct control_event event;
    char key[APIKEY_BYTES + 1], label[LABEL_MAX * 4 + 1];
    int64_t at_ns;
};

static void on_gone(struct request *req)
{
    ((struct ask *)req->task)->req = NULL;
}

static struct ask *ask_new(struct request *req)
{
    struct ask *ask = calloc(1, sizeof(*ask));
    CHECK(ask);
    ask->req = req;
    ask->gw = gateway_of(req);
    ask->project = req->project;
    req->task = ask;
    req->gone = on_gone;
    return ask;
}

static void ask_free(struct ask *ask)
{
    wipe(ask->key, sizeof(ask->key));
    free(ask);
}

static void ask_away(struct ask *ask)
{
    if (ask->req)
        http_error(ask->req, API_ERROR_unavailable, "the database is away; send it again");
    ask_free(ask);
}

/* True when there are rows to render; otherwise everything is done. */
static bool ask_ok(struct ask *ask, const struct err *err)
{
    if (err->code && ask->req)
        log_event(LOG_WARN, "query_failed", kv_err(err));
    if (err->code || !ask->req) {
        ask_away(ask);
        return false;
    }
    return true;
}

static void ask_done(struct ask *ask, struct buf *body)
{
    if (body->failed) {
        buf_done(body);
        http_error(ask->req, API_ERROR_internal, "the answer is too large");
    } else {
        http_answer(ask->req, 200, body);
    }
    ask_free(ask);
}

static void on_usage(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct ask *ask = opaque;
    if (!ask_ok(ask, err))
        return;
    const struct plan *plan = ask->project->plan;
    struct buf body = {.max = 4096};
    int64_t day = 0, month = 0, cpu_ns = 0;
    for (size_t i = 0; i < db_rows(rows); i++) {
        struct span kind = db_get_text(rows, i, 0);
        int64_t amount = db_get_int(rows, i, 1);
        if (span_is(kind, "requests"))
            day = amount;
        else if (span_is(kind, "requests_month"))
            month = amount;
        else
            cpu_ns = amount;
    }
    char text[DAY_TEXT];
    day_format(day_of_ms(ask->at_ns / 1000000), text);
    buf_printf(&body,
               "{\"plan\":\"%s\",\"day\":\"%s\",\"requests_today\":%lld,\"requests_month\":%lld,"
               "\"cpu_secs_today\":%.3f,\"limits\":{\"requests_per_minute\":%llu,"
               "\"requests_per_day\":%llu,\"requests_per_month\":%llu,\"cpu_secs_per_day\":%llu,"
               "\"open_submissions\":%llu}}",
               plan->name, text, (long long)day, (long long)month, (double)cpu_ns / 1e9,
               (unsigned long long)plan->requests_minute, (unsigned long long)plan->requests_day,
               (unsigned long long)plan->requests_month, (unsigned long long)plan->cpu_seconds_day,
               (unsigned long long)plan->open_max);
    ask_done(ask, &body);
}

void usage_handle(struct request *req)
{
    struct ask *ask = ask_new(req);
    ask->at_ns = gateway_wall_ns(ask->gw);
    int32_t day = day_of_ms(ask->at_ns / 1000000), first = 0;
    char text[DAY_TEXT];
    day_format(day, text);
    text[8] = '0';
    text[9] = '1';
    if (day_parse(text, &first) != 0 ||
        store_usage(ask->gw->store, &ask->project->id, day, first, on_usage, ask) != 0)
        ask_away(ask);
}

static void on_project(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct ask *ask = opaque;
    if (!ask_ok(ask, err))
        return;
    struct buf body = {.max = 8192};
    buf_puts(&body, "{\"projects\":[");
    for (size_t i = 0; i < db_rows(rows); i++) {
        buf_puts(&body, i ? ",{" : "{");
        rows_put_id(&body, "id", rows, i, 0);
        rows_put_known(&body, "name", rows, i, 1);
        rows_put_known(&body, "plan", rows, i, 2);
        buf_printf(&body, ",\"retention_days\":%lld", (long long)db_get_int(rows, i, 3));
        rows_put_known(&body, "taxonomy", rows, i, 4);
        rows_put_time(&body, "created_at", rows, i, 5);
        buf_puts(&body, "}");
    }
    buf_puts(&body, "]}");
    ask_done(ask, &body);
}

void projects_handle(struct request *req)
{
    struct ask *ask = ask_new(req);
    if (store_project(ask->gw->store, &ask->project->id, on_project, ask) != 0)
        ask_away(ask);
}

static void on_keys(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct ask *ask = opaque;
    if (!ask_ok(ask, err))
        return;
    struct buf body = {.max = 1024 * 1024};
    buf_puts(&body, "{\"keys\":[");
    for (size_t i = 0; i < db_rows(rows); i++) {
        buf_puts(&body, i ? ",{" : "{");
        rows_put_id(&body, "id", rows, i, 0);
        rows_put_known(&body, "kind", rows, i, 1);
        rows_put_known(&body, "label", rows, i, 2);
        rows_put_known(&body, "hint", rows, i, 3);
        rows_put_time(&body, "created_at", rows, i, 4);
        rows_put_time(&body, "revoked_at", rows, i, 5);
        buf_puts(&body, "}");
    }
    buf_puts(&body, "]}");
    ask_done(ask, &body);
}

/* ---- changes ---- */

static void on_told(struct flight *flight, const struct delivery *delivery)
{
    struct ask *ask = OWNER_OF(flight, struct ask, flight);
    if (!ask->req) {
        ask_free(ask);
        return;
    }
    if (delivery->err.code) {
        http_error(ask->req, API_ERROR_unavailable,
                   "the change is stored, but not every gateway was told; send it again");
        ask_free(ask);
        return;
    }
    struct buf body = {.max = 4096};
    char id[UUID_TEXT], at[RFC3339_TEXT];
    uuid_format(&ask->event.key, id);
    rfc3339_format(ask->at_ns, at);
    bool created = ask->event.kind == CONTROL_EVENT_key_created;
    buf_printf(&body, "{\"id\":\"%s\",\"%s\":\"%s\"", id, created ? "created_at" : "revoked_at",
               at);
    if (created) {
        buf_printf(&body, ",\"kind\":\"%s\",\"label\":", ask->event.test_key ? "test" : "live");
        json_quote(span_text(ask->label), &body);
        buf_printf(&body, ",\"key\":\"%s\"", ask->key);
    }
    buf_puts(&body, "}");
    ask_done(ask, &body);
}

static int tell_all(struct ask *ask, struct err *err)
{
    struct gateway *gw = ask->gw;
    BUF_AUTO struct buf value = {.max = 4096};
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct bus_header out[ENVELOPE_HEADERS_MAX];
    char key[UUID_TEXT];
    if (control_encode(&ask->event, &value, err) != 0)
        return -1;
    struct uuid id = uuid_v7(&gw->clock, &gw->rnd);
    struct envelope env = control_envelope(&ask->event, &id, "api");
    if (signing_sign(&gw->signing, "gateway", buf_span(&value), &env, err) != 0)
        return -1;
    arena_reset(&gw->arena);
    size_t count = envelope_encode(&env, &gw->arena, headers);
    for (size_t i = 0; i < count; i++)
        out[i] = (struct bus_header){headers[i].name, headers[i].value};
    uuid_format(&ask->event.project, key);
    ask->flight.delivered = on_told;
    return producer_send(gw->producer, topic_spec(TOPIC_control)->name,
                         envelope_partition(&env, TOPIC_control), span_text(key), out, count,
                         buf_span(&value), &ask->flight, err);
}

static void on_stored(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct ask *ask = opaque;
    struct err sent = {0};
    bool created = ask->event.kind == CONTROL_EVENT_key_created;
    if (err->code) {
        ask_away(ask);
        return;
    }
    if (!created && db_rows(rows) == 0) {
        if (ask->req)
            http_error(ask->req, API_ERROR_not_found, "no key of this project has that id");
        ask_free(ask);
        return;
    }
    if (!created)
        ask->at_ns = db_get_time_ns(rows, 0, 1);
    ask->event.at_ns = ask->at_ns;
    (void)!keyring_apply(ask->gw->keyring, &ask->event);
    if (tell_all(ask, &sent) != 0) {
        log_event(LOG_ERROR, "control_failed", kv_err(&sent));
        ask_away(ask);
    }
}

static void create_key(struct request *req)
{
    static const struct field_rule rules[] = {
        {.name = "label", .required = true, .min_bytes = 1, .max_bytes = LABEL_MAX},
        {.name = "kind", .min_bytes = 1, .max_bytes = 8},
    };
    struct gateway *gw = gateway_of(req);
    struct span values[2];
    char field[FIELD_NAME];
    struct err err;
    arena_reset(&gw->arena);
    if (fields_parse(buf_span(&req->body), rules, 2, &gw->arena, values, field, &err) != 0) {
        http_error(req, field[0] ? API_ERROR_invalid_field : API_ERROR_invalid_json, "%s",
                   err.message);
        return;
    }
    if (req->project->keys >= PROJECT_KEYS_MAX) {
        http_error(req, API_ERROR_conflict,
                   "the project has %d API keys, revoked ones included: the most there may be",
                   PROJECT_KEYS_MAX);
        return;
    }
    bool test = values[1].data && span_is(values[1], "test");
    if (values[1].data && !test && !span_is(values[1], "live")) {
        http_error(req, API_ERROR_invalid_field, "kind: must be live or test");
        return;
    }
    struct ask *ask = ask_new(req);
    (void)!span_copy(values[0], ask->label, sizeof(ask->label));
    apikey_generate(&gw->rnd, test, ask->key);
    ask->at_ns = gateway_wall_ns(gw);
    ask->event = (struct control_event){.kind = CONTROL_EVENT_key_created,
                                        .project = ask->project->id,
                                        .key = uuid_v7(&gw->clock, &gw->rnd),
                                        .test_key = test};
    sha256(span_text(ask->key), ask->event.key_sha256);
    struct store_new_key key = {.id = ask->event.key,
                                .test = test,
                                .label = ask->label,
                                .hint = ask->key + APIKEY_BYTES - 4,
                                .created_ns = ask->at_ns};
    memcpy(key.hash, ask->event.key_sha256, 32);
    if (store_key_create(gw->store, &ask->project->id, &key, on_stored, ask) != 0)
        ask_away(ask);
}

void keys_handle(struct request *req)
{
    if (req->method == METHOD_POST) {
        create_key(req);
        return;
    }
    struct ask *ask = ask_new(req);
    if (store_keys(ask->gw->store, &ask->project->id, on_keys, ask) != 0)
        ask_away(ask);
}

void key_handle(struct request *req)
{
    struct gateway *gw = gateway_of(req);
    struct uuid id;
    struct api_key *key;
    if (uuid_parse(span_text(req->tail), &id) != 0) {
        http_error(req, API_ERROR_invalid_request, "the id in the path is not a UUID");
        return;
    }
    if (!(key = keyring_by_id(gw->keyring, &id)) || key->project != req->project) {
        http_error(req, API_ERROR_not_found, "no key of this project has that id");
        return;
    }
    struct ask *ask = ask_new(req);
    ask->at_ns = gateway_wall_ns(gw);
    ask->event = (struct control_event){
        .kind = CONTROL_EVENT_key_revoked, .project = ask->project->id, .key = id};
    memcpy(ask->event.key_sha256, key->hash, 32);
    if (store_key_revoke(gw->store, &ask->project->id, &id, ask->at_ns, on_stored, ask) != 0)
        ask_away(ask);
}
