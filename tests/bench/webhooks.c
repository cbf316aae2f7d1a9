/* rustbox-webhook-load: writes endpoints and signed webhook records straight to their topics, as
 * relay would, for `ops/bench webhooks` and the kill campaign of tests/fault. Measures nothing
 * itself: what arrives is counted at the receiver. */
#include "consumers/deliver_rules.h"
#include "consumers/stage_util.h"
#include "lib/config/config.h"
#include "lib/crypto/crypto.h"
#include "lib/kafka/bus.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: rustbox-webhook-load [OPTION...] --url URL [--url URL...]\n"
    "Publishes endpoints and messages; needs the broker and the secrets of the configuration.\n"
    "  --config FILE      the installation's\n"
    "  --topics           creates the topics first\n"
    "  --endpoints N      default 100; endpoint i goes to the i-th URL, round and round\n"
    "  --projects N       default 10; endpoint i belongs to project i mod N\n"
    "  --messages N       default 1000, to the endpoints in turn\n"
    "  --rate N           messages a second; 0 = as fast as the broker takes them\n"
    "  --bytes N          of a body, default 1000\n"
    "  --retries SECONDS  retries instead, due over the next SECONDS\n"
    "  --seed N           other ids\n"
    "  --delete           deletes the endpoints of the seed instead: what is left of their "
    "messages "
    "is dropped\n"
    "  --out FILE         a line for each acknowledged message: webhook-id, endpoint, Unix time "
    "written,\n"
    "                     due time (of retries)\n";

static struct options {
    const char *urls[64], *out;
    size_t url_count;
    unsigned long endpoints, projects, messages, rate, bytes, seed, retries;
    bool topics, remove;
} options = {.endpoints = 100, .projects = 10, .messages = 1000, .bytes = 1000, .seed = 1};

static struct err err;
static struct rnd rnd;
static struct signing signing;
static struct secret webhooks;
static struct producer *producer;
static FILE *out;
static size_t acked, failed;

struct note {
    struct uuid message;
    unsigned long endpoint;
    double written, due;
};

static void die(const char *what)
{
    fprintf(stderr, "rustbox-webhook-load: %s: %s\n", what, err.message);
    exit(1);
}

static double now_s(void)
{
    return (double)clock_system.wall_ns(&clock_system) / 1e9;
}

static void on_delivery(void *owner, const struct delivery *delivery)
{
    struct note *note = delivery->opaque;
    char id[UUID_TEXT];

    (void)owner;
    acked += delivery->err.code == ERR_NONE;
    failed += delivery->err.code != ERR_NONE;
    if (!note)
        return;
    uuid_format(&note->message, id);
    if (out && delivery->err.code == ERR_NONE)
        fprintf(out, "%s\t%lu\t%.6f\t%.3f\n", id, note->endpoint, note->written, note->due);
    free(note);
}

static struct uuid made_id(uint8_t kind, uint64_t number)
{
    struct uuid id = {{kind, (uint8_t)options.seed, 0, 0, 0, 0, 0x70, 0, 0x80}};

    for (int i = 0; i < 4; i++)
        id.bytes[15 - i] = (uint8_t)(number >> (8 * i));
    return id;
}

static void send(enum topic topic, int32_t partition, const char *signer, struct envelope *env,
                 struct span value, struct note *note)
{
    static struct arena arena;
    struct header headers[ENVELOPE_HEADERS_MAX];
    char key[UUID_TEXT];
    size_t count;

    if (arena.max == 0)
        arena_init(&arena, 1 << 20);
    arena_reset(&arena);
    envelope_key(env, key);
    if (signing_sign(&signing, signer, value, env, &err) < 0)
        die("signing");
    count = envelope_encode(env, &arena, headers);
    while (producer_send(producer, topic_spec(topic)->name,
                         partition < 0 ? envelope_partition(env, topic) : partition, span_text(key),
                         (const struct bus_header *)headers, count, value, note, &err) < 0) {
        if (err.code != ERR_BUSY)
            die("producing");
        producer_poll(producer, 10);
    }
    producer_poll(producer, 0);
}

static void publish_endpoint(unsigned long number)
{
    struct envelope env = {.type = RECORD_endpoint,
                           .version = 1,
                           .id = made_id(1, number),
                           .project = made_id(2, number % options.projects),
                           .generation = options.remove ? 2 : 1,
                           .origin = "bench"};
    struct webhook_endpoint *doc = calloc(1, sizeof *doc);
    struct buf sealed;

    if (options.remove) {
        free(doc);
        send(TOPIC_endpoints, -1, "relay", &env, span_of(NULL, 0), NULL);
        return;
    }
    buf_init(&sealed, WEBHOOK_SEALED_MAX);
    if (!doc)
        die("memory");
    snprintf(doc->url, sizeof doc->url, "%s", options.urls[number % options.url_count]);
    doc->secret_count = 1;
    webhook_secret_make(WEBHOOK_V1, &rnd, 1, &doc->secrets[0]);
    if (webhook_endpoint_seal(webhooks.bytes, &rnd, &env.project, &env.id, doc, &sealed, &err) < 0)
        die("sealing");
    send(TOPIC_endpoints, -1, "relay", &env, buf_span(&sealed), NULL);
    buf_done(&sealed);
    free(doc);
}

static void publish_message(unsigned long number, const char *body)
{
    unsigned long endpoint = number % options.endpoints;
    int64_t now_ms = clock_wall_ms(&clock_system);
    struct note *note = malloc(sizeof *note);
    struct envelope env = {.type = RECORD_webhook,
                           .version = 1,
                           .id = uuid_v7_at(now_ms, &rnd),
                           .project = made_id(2, endpoint % options.projects),
                           .endpoint = made_id(1, endpoint),
                           .message = uuid_v7_at(now_ms, &rnd),
                           .event = WEBHOOK_EVENT_submission_completed,
                           .origin = "bench"};
    static struct buf sealed;
    enum topic topic = TOPIC_webhooks;
    int32_t partition = partition_of_time(now_ms, topic_spec(topic)->partitions);

    if (!note)
        die("memory");
    if (options.retries) { /* due times within a partition grow with its offsets */
        topic = TOPIC_webhooks_retry_5s;
        partition = (int32_t)(number % 16);
        env.attempt = 1;
        env.not_before_ms =
            now_ms + 3000 + (int64_t)(number * 1000 * options.retries / options.messages);
    }
    if (sealed.max == 0)
        buf_init(&sealed, RECORD_BYTES_MAX);
    buf_clear(&sealed);
    if (webhook_body_seal(webhooks.bytes, &rnd, &env, span_text(body), &sealed, &err) < 0)
        die("sealing");
    *note = (struct note){env.message, endpoint, now_s(), (double)env.not_before_ms / 1e3};
    send(topic, partition, options.retries ? "deliver" : "relay", &env, buf_span(&sealed), note);
}

static void make_topics(const struct bus_config *bus)
{
    struct topic_want wants[TOPIC_COUNT];

    for (int t = 0; t < TOPIC_COUNT; t++) {
        const struct topic_spec *spec = topic_spec((enum topic)t);
        wants[t] = (struct topic_want){spec->name, spec->partitions, spec->retention_ms,
                                       spec->compact, spec->durable};
    }
    if (bus_topics_create(bus, wants, TOPIC_COUNT, 60000, &err) < 0)
        die("creating topics");
}

static void run(const struct config *config)
{
    const struct bus_config bus = {.brokers = config_text(config, SETTING_kafka_brokers),
                                   .client_id = "rustbox-webhook-load",
                                   .prefix = config_text(config, SETTING_kafka_topic_prefix),
                                   .linger_ms = 2};
    char *body = calloc(1, options.bytes + 64);
    double begin;

    if (!body)
        die("memory");
    memset(body, 'x', options.bytes);
    memcpy(body, "{\"type\":\"bench\",\"x\":\"", 21);
    memcpy(body + (options.bytes > 23 ? options.bytes - 2 : 21), "\"}", 3);
    if (options.topics)
        make_topics(&bus);
    if (producer_open(&bus, on_delivery, NULL, &producer, &err) < 0)
        die("broker");
    for (unsigned long i = 0; i < options.endpoints; i++)
        publish_endpoint(i);
    if (producer_flush(producer, 30000, &err) < 0)
        die("endpoints");
    begin = now_s();
    for (unsigned long i = 0; i < options.messages && !options.remove; i++) {
        while (options.rate && (now_s() - begin) * (double)options.rate < (double)i)
            producer_poll(producer, 1);
        publish_message(i, body);
    }
    if (producer_flush(producer, 60000, &err) < 0)
        die("messages");
    fprintf(stderr, "%zu acknowledged, %zu failed, %.1f s\n", acked, failed, now_s() - begin);
    producer_close(producer);
    free(body);
}

static unsigned long number(const char *text)
{
    uint64_t value = 0;

    if (span_u64(span_text(text), &value) < 0) {
        fprintf(stderr, "rustbox-webhook-load: '%s' is no number\n", text);
        exit(64);
    }
    return value;
}

static void parse(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned long *to;
    } numbers[] = {{"--endpoints", &options.endpoints}, {"--projects", &options.projects},
                   {"--messages", &options.messages},   {"--rate", &options.rate},
                   {"--bytes", &options.bytes},         {"--seed", &options.seed},
                   {"--retries", &options.retries}};

    for (int i = 1; i < argc; i++) {
        bool known = strcmp(argv[i], "--topics") == 0;
        options.topics |= known;
        if (strcmp(argv[i], "--delete") == 0)
            options.remove = known = true;
        for (size_t n = 0; n < sizeof numbers / sizeof numbers[0] && i + 1 < argc; n++)
            if (strcmp(argv[i], numbers[n].name) == 0) {
                *numbers[n].to = number(argv[++i]);
                known = true;
                break;
            }
        if (!known && i + 1 < argc && strcmp(argv[i], "--url") == 0 && options.url_count < 64) {
            options.urls[options.url_count++] = argv[++i];
            known = true;
        } else if (!known && i + 1 < argc && strcmp(argv[i], "--out") == 0) {
            options.out = argv[++i];
            known = true;
        }
        if (!known) {
            fprintf(stderr, "rustbox-webhook-load: unknown argument %s\n%s", argv[i], usage);
            exit(64);
        }
    }
    if (options.url_count == 0 || options.endpoints == 0 || options.projects == 0) {
        fprintf(stderr, "rustbox-webhook-load: --url is missing, or a number is 0\n%s", usage);
        exit(64);
    }
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct secret secret;
    int status = config_args(&argc, argv, usage, &config, &err);

    if (status < 0)
        die("configuration");
    if (status > 0)
        return 0;
    parse(argc, argv);
    rnd = rnd_system();
    if (secret_load(config_text(config, SETTING_secrets_signing_file), &secret, &err) < 0 ||
        secret_load(config_text(config, SETTING_secrets_webhooks_file), &webhooks, &err) < 0)
        die("secrets");
    signing_init(&signing, secret.bytes);
    if (options.out && !(out = fopen(options.out, "a")))
        die(options.out);
    run(config);
    if (out)
        fclose(out);
    config_free(config);
    return failed ? 1 : 0;
}
