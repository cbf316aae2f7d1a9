/* rustbox dead ...: what no process could handle (topic dead) and webhooks that were given up
 * (topic webhooks.dead): list, show, send again, delete. For operators: it reads the log itself.
 * Values are ciphertext or forged bytes and are never printed. */
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "producers/cli/admin.h"
#include <stdio.h>
#include <stdlib.h>

#define PARTS_MAX 64
#define TIMEOUT_MS 15000
#define TEXT_MAX 200

static const enum topic both[] = {TOPIC_dead, TOPIC_webhooks_dead};

struct dead {
    struct config *config;
    struct bus_config bus;
    struct producer *producer;
    size_t acked, failed;
    struct db *db; /* redrive of webhooks alone */
};

static void on_delivery(void *owner, const struct delivery *delivery)
{
    struct dead *dead = owner;
    dead->acked++;
    dead->failed += delivery->err.code != ERR_NONE;
}

static int dead_open(const struct args *args, struct dead *dead, struct err *err)
{
    *dead = (struct dead){.config = NULL};
    if (cli_config(args, &dead->config, err))
        return -1;
    dead->bus = admin_bus(dead->config);
    return producer_open(&dead->bus, on_delivery, dead, &dead->producer, err);
}

static void dead_close(struct dead *dead)
{
    if (dead->producer)
        producer_close(dead->producer);
    db_close(dead->db);
    config_free(dead->config);
}

static const char *header(const struct record *rec, const char *name, char out[TEXT_MAX])
{
    out[0] = '\0';
    for (size_t i = 0; i < rec->header_count && i < BUS_HEADERS_MAX; i++)
        if (strcmp(rec->headers[i].name, name) == 0) {
            struct span value = rec->headers[i].value;
            size_t len = value.len < TEXT_MAX - 1 ? value.len : TEXT_MAX - 1;
            for (size_t at = 0; at < len; at++) {
                char c = ((const char *)value.data)[at];
                out[at] = c >= ' ' && c < 0x7f ? c : '?'; /* a stranger may have written it */
            }
            out[len] = '\0';
        }
    return out;
}

/* ---- reading ---- */

typedef int each_fn(struct dead *dead, const struct record *rec, void *opaque, struct err *err);

/* Calls `each` for every record there is now; 1 ends the reading early. */
static int scan(struct dead *dead, enum topic topic, each_fn *each, void *opaque, struct err *err)
{
    const struct topic_spec *spec = topic_spec(topic);
    int64_t begins[PARTS_MAX], ends[PARTS_MAX], last_ms = clock_mono_ms(&clock_system);
    struct partition_at parts[PARTS_MAX];
    struct consumer *tail;
    size_t count = 0, left;
    int rc = 0;
    CHECK(spec->partitions <= PARTS_MAX);
    if (producer_begin_offsets(dead->producer, spec->name, spec->partitions, begins, TIMEOUT_MS,
                               err) ||
        producer_end_offsets(dead->producer, spec->name, spec->partitions, ends, TIMEOUT_MS, err))
        return -1;
    for (int32_t p = 0; p < spec->partitions; p++)
        if (begins[p] < ends[p])
            parts[count++] = (struct partition_at){spec->name, p, begins[p]};
    if (count == 0)
        return 0;
    if (tail_open(&dead->bus, parts, count, &tail, err))
        return -1;
    for (left = count; left > 0 && rc == 0;) {
        struct record rec;
        int got = consumer_poll(tail, 500, &rec, err);
        if (got == 0 && clock_mono_ms(&clock_system) - last_ms > TIMEOUT_MS)
            rc = err_set(err, ERR_BROKER, "%s: its end was not reached in time", spec->name);
        if (got <= 0) {
            rc = got < 0 ? -1 : rc;
            continue;
        }
        last_ms = clock_mono_ms(&clock_system);
        left -= rec.offset + 1 == ends[rec.partition];
        if (rec.offset < ends[rec.partition] && !record_is_probe(&rec))
            rc = each(dead, &rec, opaque, err);
        record_done(&rec);
    }
    consumer_close(tail);
    return rc < 0 ? -1 : 0;
}

static int topic_named(const char *name, enum topic *out, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(both); i++)
        if (strcmp(topic_spec(both[i])->name, name) == 0) {
            *out = both[i];
            return 0;
        }
    return err_set(err, ERR_CONFIG, "there is no topic \"%.40s\" here: say dead or webhooks.dead",
                   name);
}

/* ---- list ---- */

enum { L_TOPIC, L_LIMIT };
static const struct option list_options[] = {
    [L_TOPIC] = {"--topic", "NAME", "dead or webhooks.dead (default: both)"},
    [L_LIMIT] = {"--limit", "N", "records of a topic (default 100; 0 = all)"},
};

struct listing {
    bool json;
    int64_t limit;
    size_t shown;
};

/* What a webhook's own record does not say, its source does. */
static const char *why_of(const struct record *rec, char out[TEXT_MAX])
{
    char type[TEXT_MAX], event[TEXT_MAX];
    if (strcmp(rec->topic, topic_spec(TOPIC_dead)->name) == 0)
        return header(rec, "dead-why", out);
    header(rec, "type", type);
    header(rec, "event", event);
    snprintf(out, TEXT_MAX, "%.60s: every attempt failed", event);
    return out;
}

static int print_one(struct dead *dead, const struct record *rec, void *opaque, struct err *err)
{
    struct listing *list = opaque;
    char id[TEXT_MAX], why[TEXT_MAX], from[TEXT_MAX], endpoint[TEXT_MAX], at[RFC3339_TEXT];
    (void)dead;
    (void)err;
    if (list->limit && list->shown == (size_t)list->limit)
        return 1;
    list->shown++;
    rfc3339_format(rec->timestamp_ms * 1000000, at);
    header(rec, "id", id);
    header(rec, "dead-topic", from);
    header(rec, "endpoint", endpoint);
    why_of(rec, why);
    if (list->json) {
        json_t *row =
            json_pack("{s:s,s:i,s:I,s:s,s:s,s:s,s:s,s:s,s:I}", "topic", rec->topic, "partition",
                      rec->partition, "offset", (json_int_t)rec->offset, "at", at, "id", id, "why",
                      why, "from", from, "endpoint", endpoint, "bytes", (json_int_t)rec->value.len);
        print_json(row);
        json_decref(row);
    } else {
        printf("%s/%d/%lld  %s  %s  %s%s%s\n", rec->topic, rec->partition, (long long)rec->offset,
               at, id[0] ? id : "(no id)", from, from[0] ? ": " : "", why);
    }
    return 0;
}

static int run_list(const struct args *args, int *exit_code, struct err *err)
{
    struct dead dead;
    enum topic only = TOPIC_COUNT;
    struct listing list = {.json = args->json};
    *exit_code = EXIT_USAGE;
    if (option_number(args, L_LIMIT, "--limit", 100, 1000000000, &list.limit, err) ||
        (args->value[L_TOPIC] && topic_named(args->value[L_TOPIC], &only, err)))
        return -1;
    *exit_code = EXIT_AC;
    int rc = dead_open(args, &dead, err);
    for (size_t i = 0; !rc && i < COUNT_OF(both); i++) {
        list.shown = 0;
        if (only == TOPIC_COUNT || only == both[i])
            rc = scan(&dead, both[i], print_one, &list, err);
    }
    dead_close(&dead);
    return rc;
}

/* ---- one record, named topic/partition/offset ---- */

struct place {
    enum topic topic;
    uint64_t partition, offset;
    bool found, json;
    size_t sent;
};

static int read_place(const char *text, struct place *out, int *exit_code, struct err *err)
{
    const char *slash = strchr(text, '/'), *last = strrchr(text, '/');
    char name[40] = "";
    *exit_code = EXIT_USAGE;
    if (!slash || slash == last || span_copy(span_of(text, (size_t)(slash - text)), name, 40) ||
        span_u64(span_of(slash + 1, (size_t)(last - slash) - 1), &out->partition) ||
        span_u64(span_text(last + 1), &out->offset))
        return err_set(err, ERR_CONFIG,
                       "\"%.60s\" names no record: say topic/partition/offset, as dead list does",
                       text);
    if (topic_named(name, &out->topic, err))
        return -1;
    *exit_code = EXIT_AC;
    return 0;
}

static bool is_place(const struct record *rec, const struct place *place)
{
    return rec->partition == (int32_t)place->partition && rec->offset == (int64_t)place->offset;
}

static int show_one(struct dead *dead, const struct record *rec, void *opaque, struct err *err)
{
    struct place *place = opaque;
    char value[TEXT_MAX];
    (void)dead;
    (void)err;
    if (!is_place(rec, place))
        return 0;
    place->found = true;
    json_t *row = json_object();
    for (size_t i = 0; i < rec->header_count && i < BUS_HEADERS_MAX; i++) {
        header(rec, rec->headers[i].name, value);
        BUF_AUTO struct buf name = {.max = 1024};
        put_field(&name, span_text(rec->headers[i].name));
        if (place->json)
            json_object_set_new(row, buf_text(&name), json_string(value));
        else
            printf("%-14s %s\n", buf_text(&name), value);
    }
    if (place->json)
        print_json(row);
    else
        printf("%-14s %zu bytes, not shown\n", "value", rec->value.len);
    json_decref(row);
    return 1;
}

static int missing(const struct place *place, const char *text, struct err *err)
{
    return place->found
               ? 0
               : err_set(err, ERR_NOT_FOUND,
                         "there is no record %.60s; rustbox dead list shows those there are", text);
}

static int run_show(const struct args *args, int *exit_code, struct err *err)
{
    struct dead dead;
    struct place place = {.json = args->json};
    if (read_place(args->positional[0], &place, exit_code, err))
        return -1;
    int rc = dead_open(args, &dead, err);
    if (!rc)
        rc = scan(&dead, place.topic, show_one, &place, err);
    if (!rc)
        rc = missing(&place, args->positional[0], err);
    dead_close(&dead);
    return rc;
}

/* ---- again ---- */

/* As it was, to where it came from: every reader judges it anew, and is idempotent. */
static int send_back(struct dead *dead, const struct record *rec, struct err *err)
{
    char topic[TEXT_MAX], partition[TEXT_MAX];
    struct bus_header headers[BUS_HEADERS_MAX];
    size_t count = 0;
    uint64_t number;
    enum topic source;
    header(rec, "dead-topic", topic);
    header(rec, "dead-partition", partition);
    if (topic_find(span_text(topic), &source) || span_u64(span_text(partition), &number) ||
        number >= (uint64_t)topic_spec(source)->partitions)
        return err_set(err, ERR_INVALID, "the record does not say where it came from");
    for (size_t i = 0; i < rec->header_count && i < BUS_HEADERS_MAX; i++)
        if (strncmp(rec->headers[i].name, "dead-", 5) != 0)
            headers[count++] = rec->headers[i];
    if (producer_send(dead->producer, topic_spec(source)->name, (int32_t)number, rec->key, headers,
                      count, rec->value, NULL, err))
        return -1;
    return producer_flush(dead->producer, TIMEOUT_MS, err);
}

/* Why nothing was changed. */
static int not_again(struct dead *dead, const struct db_param *message, const char *text,
                     struct err *err)
{
    static const struct db_statement statement = {
        "dead_endpoint", "SELECT FROM rustbox.outbox o JOIN rustbox.webhook_endpoints w ON "
                         "w.id = o.endpoint_id WHERE o.message_id = $1 AND o.state = 'dead' AND "
                         "(w.disabled_at IS NOT NULL OR w.deleted_at IS NOT NULL)"};
    DB_RESULT_AUTO rows = {NULL};
    if (db_exec(dead->db, &statement, message, 1, &rows, err))
        return -1;
    return db_rows(&rows) > 0
               ? err_set(err, ERR_CONFLICT,
                         "the endpoint of message %s is disabled or deleted: enable it first", text)
               : err_set(err, ERR_CONFLICT,
                         "message %s is not dead any more: it was asked for again, or delivered",
                         text);
}

/* A webhook goes through the outbox, as a redelivery asked for by its project does. */
static int ask_again(struct dead *dead, const struct record *rec, struct err *err)
{
    static const struct db_statement statement = {
        "dead_redrive",
        "UPDATE rustbox.outbox SET generation = generation + 1, published_at = NULL, "
        "state = 'pending', attempts = 0, next_due_at = NULL WHERE message_id = $1 AND "
        "state = 'dead' AND EXISTS (SELECT FROM rustbox.webhook_endpoints w WHERE "
        "w.id = endpoint_id AND w.disabled_at IS NULL AND w.deleted_at IS NULL)"};
    char text[TEXT_MAX];
    struct uuid message;
    struct db_result rows = {NULL};
    if (uuid_parse(span_text(header(rec, "message", text)), &message))
        return err_set(err, ERR_INVALID, "the record has no webhook-id");
    struct db_param param = db_uuid(&message);
    if (db_exec(dead->db, &statement, &param, 1, &rows, err))
        return -1;
    size_t changed = db_affected(&rows);
    db_result_done(&rows);
    return changed ? 0 : not_again(dead, &param, text, err);
}

static int redrive_one(struct dead *dead, const struct record *rec, void *opaque, struct err *err)
{
    struct place *place = opaque;
    if (!is_place(rec, place))
        return 0;
    place->found = true;
    int rc = place->topic == TOPIC_dead ? send_back(dead, rec, err) : ask_again(dead, rec, err);
    return rc ? -1 : 1;
}

static int open_database(struct dead *dead, struct err *err)
{
    struct db_config db = {.conninfo = config_text(dead->config, SETTING_db_url_admin),
                           .application = "rustbox",
                           .statement_timeout_ms = TIMEOUT_MS,
                           .connect_timeout_ms =
                               config_ms(dead->config, SETTING_db_connect_timeout),
                           .look_ups = true};
    return db_open(&db, &dead->db, err);
}

static int run_redrive(const struct args *args, int *exit_code, struct err *err)
{
    struct dead dead;
    struct place place = {.json = args->json};
    if (read_place(args->positional[0], &place, exit_code, err))
        return -1;
    int rc = dead_open(args, &dead, err);
    if (!rc && place.topic == TOPIC_webhooks_dead)
        rc = open_database(&dead, err);
    if (!rc)
        rc = scan(&dead, place.topic, redrive_one, &place, err);
    if (!rc)
        rc = missing(&place, args->positional[0], err);
    if (!rc && dead.failed)
        rc = err_set(err, ERR_BROKER, "the broker did not acknowledge the record");
    dead_close(&dead);
    if (!rc)
        printf(args->json ? "{\"redriven\":\"%s\"}\n" : "%s was sent again\n", args->positional[0]);
    return rc;
}

/* ---- purge ---- */

enum { P_TOPIC, P_YES };
static const struct option purge_options[] = {
    [P_TOPIC] = {"--topic", "NAME", "dead or webhooks.dead"},
    [P_YES] = {"--yes", NULL, "without it nothing is deleted, only counted"},
};

static int count_one(struct dead *dead, const struct record *rec, void *opaque, struct err *err)
{
    (void)dead;
    (void)rec;
    (void)err;
    ++*(size_t *)opaque;
    return 0;
}

static int run_purge(const struct args *args, int *exit_code, struct err *err)
{
    struct dead dead;
    enum topic topic;
    int64_t ends[PARTS_MAX];
    size_t count = 0;
    bool sure = args->value[P_YES] != NULL;
    *exit_code = EXIT_USAGE;
    if (!args->value[P_TOPIC])
        return err_set(err, ERR_CONFIG, "say which: --topic dead or --topic webhooks.dead");
    if (topic_named(args->value[P_TOPIC], &topic, err))
        return -1;
    *exit_code = EXIT_AC;
    const struct topic_spec *spec = topic_spec(topic);
    int rc = dead_open(args, &dead, err);
    if (!rc)
        rc = producer_end_offsets(dead.producer, spec->name, spec->partitions, ends, TIMEOUT_MS,
                                  err);
    if (!rc)
        rc = scan(&dead, topic, count_one, &count, err);
    if (!rc && sure)
        rc = bus_topic_purge(&dead.bus, spec->name, ends, spec->partitions, TIMEOUT_MS, err);
    dead_close(&dead);
    if (!rc)
        printf(args->json ? "{\"records\":%zu,\"deleted\":%s}\n" : "%zu records%s\n", count,
               args->json ? (sure ? "true" : "false")
                          : (sure ? " were deleted" : " would be deleted: add --yes"));
    return rc;
}

const struct verb verb_dead_list = {
    .name = "dead list",
    .positional = "",
    .summary = "list records that nobody could handle, and webhooks given up",
    .details = "Topic dead: malformed or forged records, with the reason. Topic webhooks.dead: "
               "messages\nwhose every attempt failed. Values are not shown.",
    .options = list_options,
    .option_count = COUNT_OF(list_options),
    .run = run_list,
};
const struct verb verb_dead_show = {
    .name = "dead show",
    .positional = "TOPIC/PARTITION/OFFSET ",
    .positionals = 1,
    .summary = "print the headers of such a record",
    .run = run_show,
};
const struct verb verb_dead_redrive = {
    .name = "dead redrive",
    .positional = "TOPIC/PARTITION/OFFSET ",
    .positionals = 1,
    .summary = "send such a record again",
    .details = "A record of dead goes back to where it came from and is judged anew. A webhook is "
               "delivered\nanew, under the same webhook-id; all of an endpoint: rustbox webhook "
               "redeliver.",
    .run = run_redrive,
};
const struct verb verb_dead_purge = {
    .name = "dead purge",
    .positional = "",
    .summary = "delete what such a topic holds",
    .details = "After a purge of dead, submissions that were only there are missing in "
               "`rustbox balance`\nuntil they leave the log themselves.",
    .options = purge_options,
    .option_count = COUNT_OF(purge_options),
    .run = run_purge,
};
