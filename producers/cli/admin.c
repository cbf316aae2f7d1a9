/* Opening what administration needs, telling the gateways, and the verb `admin topics`. */
#include "producers/cli/admin.h"
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/keystore/keystore.h"
#include <stdio.h>
#include <stdlib.h>

#define BROKER_TIMEOUT_MS 15000
#define BROKER_THERE_MS 10000 /* to say anything; making topics on a slow disk may take longer */

int cli_config(const struct args *args, struct config **out, struct err *err)
{
    char program[] = "rustbox", option[] = "--config";
    char *argv[] = {program, option, (char *)(uintptr_t)args->config_path, NULL};
    int argc = 3;
    if (!args->config_path) {
        argv[1] = NULL;
        argc = 1;
    }
    return config_args(&argc, argv, "", out, err);
}

int option_number(const struct args *args, int option, const char *name, int64_t fallback,
                  int64_t max, int64_t *out, struct err *err)
{
    uint64_t value;
    const char *text = args->value[option];
    *out = fallback;
    if (!text)
        return 0;
    if (span_u64(span_text(text), &value) || value > (uint64_t)max)
        return err_set(err, ERR_CONFIG, "%s must be a number from 0 to %lld", name, (long long)max);
    *out = (int64_t)value;
    return 0;
}

int admin_open(const struct args *args, enum setting url, int64_t timeout_ms, struct admin *out,
               struct err *err)
{
    *out = (struct admin){.config = NULL};
    if (cli_config(args, &out->config, err))
        return -1;
    struct db_config db = {
        .conninfo = config_text(out->config, url),
        .application = "rustbox",
        .statement_timeout_ms = timeout_ms,
        .connect_timeout_ms = config_ms(out->config, SETTING_db_connect_timeout),
    };
    if (db_open(&db, &out->db, err) == 0)
        return 0;
    const char *from = args->config_path ? args->config_path : getenv("RUSTBOX_CONFIG");
    return err_wrap(err, "database of %s",
                    from && from[0] ? from : "the defaults (--config FILE names a service's)");
}

void admin_close(struct admin *admin)
{
    if (admin->producer)
        producer_close(admin->producer);
    signing_done(&admin->signing);
    db_close(admin->db);
    config_free(admin->config);
}

struct bus_config admin_bus(const struct config *config)
{
    return (struct bus_config){
        .brokers = config_text(config, SETTING_kafka_brokers),
        .client_id = "rustbox",
        .prefix = config_text(config, SETTING_kafka_topic_prefix),
        .fetch_min_bytes = 65536,
        .fetch_wait_max_ms = 20,
        .queued_max_kbytes = 16384,
        .message_timeout_ms = BROKER_TIMEOUT_MS,
    };
}

static void on_delivery(void *owner, const struct delivery *delivery)
{
    struct admin *admin = owner;
    admin->delivery = delivery->err;
    admin->delivered = true;
}

int admin_producer(struct admin *admin, struct err *err)
{
    const char *topic = topic_spec(TOPIC_control)->name;
    struct bus_config bus = admin_bus(admin->config);
    struct secret secret;
    if (secret_load(config_text(admin->config, SETTING_secrets_signing_file), &secret, err))
        return err_wrap(err, "nothing was changed");
    signing_init(&admin->signing, secret.bytes);
    wipe(&secret, sizeof secret);
    if (producer_open(&bus, on_delivery, admin, &admin->producer, err) ||
        producer_warm(admin->producer, &topic, 1, BROKER_TIMEOUT_MS, err))
        return err_wrap(err, "nothing was changed: the broker is not there");
    return 0;
}

static int tell(struct admin *admin, const struct control_event *event, struct arena *arena,
                struct err *err)
{
    BUF_AUTO struct buf value = {.max = 4096};
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct bus_header out[ENVELOPE_HEADERS_MAX];
    struct rnd rnd = rnd_system();
    struct uuid id = uuid_v7(&clock_system, &rnd);
    struct envelope env = control_envelope(event, &id, "cli");
    const struct topic_spec *spec = topic_spec(TOPIC_control);
    char key[UUID_TEXT];
    uuid_format(&event->project, key);
    if (control_encode(event, &value, err))
        return -1;
    if (signing_sign(&admin->signing, "admin", buf_span(&value), &env, err))
        return -1;
    size_t count = envelope_encode(&env, arena, headers);
    if (count == 0)
        return err_set(err, ERR_NO_MEMORY, "headers of a control event");
    for (size_t i = 0; i < count; i++)
        out[i] = (struct bus_header){headers[i].name, headers[i].value};
    admin->delivered = false;
    if (producer_send(admin->producer, spec->name, envelope_partition(&env, TOPIC_control),
                      span_text(key), out, count, buf_span(&value), NULL, err) ||
        producer_flush(admin->producer, BROKER_TIMEOUT_MS, err))
        return -1;
    if (!admin->delivered)
        return err_set(err, ERR_BROKER, "no acknowledgement from the broker");
    if (admin->delivery.code != ERR_NONE) {
        *err = admin->delivery;
        return -1;
    }
    return 0;
}

int admin_tell(struct admin *admin, const struct control_event *event, struct err *err)
{
    struct arena arena;
    arena_init(&arena, 16384);
    int failed = tell(admin, event, &arena, err);
    arena_done(&arena);
    if (failed)
        return err_wrap(err, "stored, but the gateways were not told: restart them, or repeat a "
                             "`key revoke`");
    return 0;
}

/* ---- admin topics ---- */

enum { CHECK_ONLY };
static const struct option topics_options[] = {
    [CHECK_ONLY] = {"--check", NULL, "change nothing; exit code 7 when the broker differs"},
};

static size_t wanted_topics(const struct config *config, struct topic_want *wants)
{
    bool machine = strcmp(config_text(config, SETTING_kafka_durability), "machine") == 0;
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        const struct topic_spec *spec = topic_spec((enum topic)i);
        wants[i] = (struct topic_want){.name = spec->name,
                                       .partitions = spec->partitions,
                                       .retention_ms = spec->retention_ms,
                                       .compact = spec->compact,
                                       .flush_each_message = machine && spec->durable};
    }
    return TOPIC_COUNT;
}

/* Topics first: an offset row without its topic would let a stage start. */
static int make_topics(struct admin *admin, bool check_only, struct err *err)
{
    struct topic_want wants[TOPIC_COUNT];
    struct bus_config bus = admin_bus(admin->config);
    size_t count = wanted_topics(admin->config, wants);
    if (bus_there(&bus, BROKER_THERE_MS, err))
        return -1;
    if (!check_only && bus_topics_create(&bus, wants, count, 60000, err))
        return -1;
    if (bus_topics_check(&bus, wants, count, 60000, err))
        return -1;
    static const enum topic stored[] = {TOPIC_submissions, TOPIC_verdicts, TOPIC_attempts};
    for (size_t i = 0; i < COUNT_OF(stored) && !check_only; i++) {
        const struct topic_spec *spec = topic_spec(stored[i]);
        if (db_offsets_create(admin->db, spec->name, spec->partitions, err))
            return err_wrap(err, "offsets of %s (run `rustbox admin migrate` first)", spec->name);
    }
    return 0;
}

static int run_topics(const struct args *args, int *exit_code, struct err *err)
{
    struct admin admin;
    bool check_only = args->value[CHECK_ONLY] != NULL;
    (void)exit_code;
    int failed = admin_open(args, SETTING_db_url_admin, 10000, &admin, err);
    if (!failed)
        failed = make_topics(&admin, check_only, err);
    admin_close(&admin);
    if (failed)
        return -1;
    printf(args->json ? "{\"topics\":%d,\"good\":true}\n" : "%d topics are as they should be\n",
           TOPIC_COUNT);
    return 0;
}

const struct verb verb_admin_topics = {
    .name = "admin topics",
    .positional = "",
    .summary = "create the topics that are missing and check all",
    .options = topics_options,
    .option_count = COUNT_OF(topics_options),
    .run = run_topics,
};
