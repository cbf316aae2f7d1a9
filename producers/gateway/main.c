/* rustbox-gateway: opens the parts in order, turns the loop, stops gracefully.
 *
 * Start: producer and its probes, database, then (with the database's offsets) the tails, then the
 * keys; /api/health/ready says what is missing. SIGTERM: no new connections, waiting clients get
 * their 408 with the id, records in flight are awaited for a bounded time, exit status 0. */
#include "lib/base/std_fds.h"
#include "producers/gateway/gateway.h"
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define OFFSETS_EVERY_MS 250
#define STOP_MS 10000
#define WARM_MS 30000
#define VERDICTS_KEEP_BYTES (24u * 1024 * 1024)
#define VERDICTS_KEEP_MS 120000
#define OLD_SUBS 20000
#define PROBE_EVERY_MS 5000

static struct gateway gateway;
static struct watch signal_watch = {.fd = -1};
static struct due_queue offsets_queue, probe_queue;
static struct due offsets_due, probe_due;

void gateway_fatal(struct gateway *gw, const struct err *err)
{
    if (gw->exit_status)
        return;
    log_event(LOG_FATAL, "fatal", kv_err(err));
    gw->stopping = true;
    gw->exit_status = 70;
}

static void on_delivery(void *owner, const struct delivery *delivery)
{
    (void)owner;
    struct flight *flight = delivery->opaque;
    if (flight)
        flight->delivered(flight, delivery);
}

static void on_producer(struct watch *watch, unsigned events)
{
    (void)events;
    producer_poll(OWNER_OF(watch, struct gateway, producer_watch)->producer, 0);
}

static void on_metrics(struct watch *watch, unsigned events)
{
    (void)events;
    struct gateway *gw = OWNER_OF(watch, struct gateway, metrics_watch);
    metric_set(METRIC_waiting_requests, NULL, (int64_t)submits_waiting(gw->submits));
    metric_set(METRIC_tail_bytes, "submissions", (int64_t)sublog_bytes(&gw->subs));
    metric_set(METRIC_tail_bytes, "verdicts", (int64_t)gw->verdicts.bytes);
    metrics_server_health(gw->metrics, gateway_unready(gw));
    metrics_server_ready(gw->metrics);
}

static void on_signal(struct watch *watch, unsigned events)
{
    (void)events;
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        gateway.stopping = true;
}

static void on_keys(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct gateway *gw = opaque;
    if (err->code) {
        log_event(LOG_WARN, "keys_not_loaded", kv_err(err));
        return;
    }
    for (size_t i = 0; i < db_rows(rows); i++) {
        struct uuid key = db_get_uuid(rows, i, 0), id = db_get_uuid(rows, i, 3);
        struct span hash = db_get_bytes(rows, i, 1);
        struct project *project = keyring_project(gw->keyring, &id);
        const struct plan *plan = plan_find(db_get_text(rows, i, 4));
        if (plan)
            project->plan = plan;
        project->retention_class = (uint16_t)db_get_int(rows, i, 5);
        project->deleted = db_get_bool(rows, i, 6);
        if (hash.len == 32)
            keyring_key(gw->keyring, &id, &key, hash.data, db_get_bool(rows, i, 2));
    }
    if (!gw->keys_loaded)
        keyring_loaded(gw->keyring, gateway_wall_ns(gw));
    gw->keys_loaded = true;
    log_event(LOG_INFO, "keys_loaded", kv("keys", db_rows(rows)));
}

/* A record that tells the broker's time, seen again by the tail (delivery.md rule 6). */
static void send_probe(struct gateway *gw)
{
    struct bus_header header = {"type", span_text(BUS_PROBE_TYPE)};
    struct err err;
    if (producer_send(gw->producer, topic_spec(TOPIC_submissions)->name, 0, SPAN_LIT("probe"),
                      &header, 1, (struct span){0}, NULL, &err) != 0)
        log_event(LOG_WARN, "probe_failed", kv_err(&err));
}

static void on_probe_due(struct due *due)
{
    bool apart = gateway.skew_ms > CLOCK_APART_MS || gateway.skew_ms < -CLOCK_APART_MS;
    if (gateway.tails && (!gateway.skew_known || apart))
        send_probe(&gateway);
    due_arm(gateway.loop, &probe_queue, due);
}

static void on_offsets(void *opaque, const struct store_offsets *offsets, const struct err *err)
{
    struct gateway *gw = opaque;
    struct err failed = {0};
    due_arm(gw->loop, &offsets_queue, &offsets_due);
    if (err->code) {
        if (!gw->stopping)
            log_event(LOG_WARN, "offsets_unread", kv_err(err));
        return;
    }
    if (!gw->tails) {
        if (tails_open(gw, offsets, &gw->tails, &failed) == 0) {
            /* Keys after the begin of `control`: what changes in between is read there. */
            if (store_load_keys(gw->store, on_keys, gw) != 0)
                log_event(LOG_WARN, "keys_not_loaded");
            send_probe(gw);
        }
    } else if (tails_offsets(gw->tails, offsets, &failed) == 0 && !gw->keys_loaded) {
        (void)!store_load_keys(gw->store, on_keys, gw);
    }
    if (failed.code && err_class(failed.code) == ERR_FATAL) {
        gateway_fatal(gw, &failed);
    } else if (failed.code) {
        log_event(LOG_WARN, "tails_not_open", kv_err(&failed));
    } else if (!gw->database && store_connected(gw->store)) {
        gw->database = true;
        log_event(LOG_INFO, "database_connected");
    }
}

static void on_open_count(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct project *project = opaque;
    if (!err->code && db_rows(rows) == 1)
        project->open_stored = (uint64_t)db_get_int(rows, 0, 0);
}

/* Only projects whose plan has a limit and which submitted lately. */
static void count_open(struct project *project, void *owner)
{
    struct gateway *gw = owner;
    if (!project->plan->open_max || !project->asked_ms ||
        loop_now_ms(gw->loop) - project->asked_ms >= 2000)
        return;
    /* More than these say nothing new, whatever has piled up. */
    uint64_t enough = project->plan->open_max;
    enough += project->open_verdicts > 0 ? (uint64_t)project->open_verdicts : 0;
    int32_t today = day_of_ms(gateway_wall_ns(gw) / 1000000);
    (void)!store_open_count(gw->store, &project->id, today, enough, on_open_count, project);
}

static void on_offsets_due(struct due *due)
{
    if (gateway.database)
        keyring_each_project(gateway.keyring, count_open, &gateway);
    if (store_read_offsets(gateway.store, on_offsets, &gateway) != 0)
        due_arm(gateway.loop, &offsets_queue, due);
}

static void on_database(void *owner, bool connected, const struct err *err)
{
    struct gateway *gw = owner;
    if (!connected) {
        if (gw->database)
            log_event(LOG_WARN, "database_away", kv_err(err));
        gw->database = false; /* true again after its offsets were read */
        return;
    }
    due_disarm(&offsets_due);
    on_offsets_due(&offsets_due);
}

static int open_bus(struct gateway *gw, struct err *err)
{
    gw->bus = (struct bus_config){
        .brokers = config_text(gw->config, SETTING_kafka_brokers),
        .client_id = "rustbox-gateway",
        .prefix = config_text(gw->config, SETTING_kafka_topic_prefix),
        .linger_ms = 0,
        .fetch_min_bytes = 1,
        .fetch_wait_max_ms = 500, /* a seek waits for the parked fetch; it is rare */
        .queued_max_kbytes = 16384,
        .message_timeout_ms = 300000,
    };
    static const char *const topics[] = {"submissions", "control", "dead"};
    if (group_open(&gw->bus, GROUP_EXECUTE, &gw->execute, err) != 0)
        return -1;
    if (producer_open(&gw->bus, on_delivery, gw, &gw->producer, err) != 0)
        return -1;
    if (producer_warm(gw->producer, topics, COUNT_OF(topics), WARM_MS, err) != 0)
        return err_wrap(err, "the broker does not take records");
    gw->producer_watch = (struct watch){.ready = on_producer, .fd = -1};
    return loop_add(gw->loop, &gw->producer_watch, producer_fd(gw->producer), EPOLLIN, err);
}

static int open_http(struct gateway *gw, struct err *err)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    struct http_config http = {
        .listen = config_text(gw->config, SETTING_gateway_listen),
        .routes = gateway_routes,
        .route_count = gateway_route_count,
        .clock = &gw->clock,
        .rnd = &gw->rnd,
        .loop = gw->loop,
        .owner = gw,
        .before = gateway_before,
        .connections_max = files.rlim_cur > 1024 ? (unsigned)files.rlim_cur - 512 : 512,
        .bodies_max_bytes = 64 * 1024 * 1024,
        .answers_max_bytes = 256 * 1024 * 1024,
        .head_ms = 10000,
        .body_ms = 30000,
        .idle_ms = 75000,
        .send_ms = 60000,
    };
    return http_open(&http, &gw->http, err);
}

static int open_store(struct gateway *gw, struct err *err)
{
    struct store_config store = {
        .db = {.conninfo = config_text(gw->config, SETTING_db_url_gateway),
               .application = "rustbox-gateway",
               .statement_timeout_ms = config_ms(gw->config, SETTING_db_statement_timeout),
               .connect_timeout_ms = config_ms(gw->config, SETTING_db_connect_timeout),
               .look_ups = true,
               .plans = DB_PLANS_FRESH},
        .loop = gw->loop,
        .owner = gw,
        .on_state = on_database,
    };
    loop_queue(gw->loop, &offsets_queue, OFFSETS_EVERY_MS, on_offsets_due);
    loop_queue(gw->loop, &probe_queue, PROBE_EVERY_MS, on_probe_due);
    due_arm(gw->loop, &probe_queue, &probe_due);
    return store_open(&store, &gw->store, err);
}

static int open_metrics(struct gateway *gw, struct err *err)
{
    gw->metrics_watch = (struct watch){.ready = on_metrics, .fd = -1};
    if (metrics_server_open(config_text(gw->config, SETTING_gateway_admin_listen), &gw->metrics,
                            err) != 0)
        return -1;
    int fd = metrics_server_fd(gw->metrics);
    return fd < 0 ? 0 : loop_add(gw->loop, &gw->metrics_watch, fd, EPOLLIN, err);
}

static int open_signals(struct gateway *gw, struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_sys(err, ERR_SYSTEM, "signalfd");
    signal_watch.ready = on_signal;
    return loop_add(gw->loop, &signal_watch, fd, EPOLLIN, err);
}

static int gateway_open(struct gateway *gw, struct err *err)
{
    struct secret master, signing;
    gw->clock = clock_from_env();
    gw->rnd = rnd_system();
    arena_init(&gw->arena, SUBMISSION_ARENA_MAX);
    gw->tail_memory_bytes = (size_t)config_bytes(gw->config, SETTING_gateway_tail_memory);
    if (secret_load(config_text(gw->config, SETTING_secrets_master_file), &master, err) != 0 ||
        secret_load(config_text(gw->config, SETTING_secrets_signing_file), &signing, err) != 0 ||
        secret_load(config_text(gw->config, SETTING_secrets_webhooks_file), &gw->webhooks, err) !=
            0 ||
        webhook_url_policy(config_text(gw->config, SETTING_webhooks_schemes),
                           config_text(gw->config, SETTING_webhooks_ports),
                           config_text(gw->config, SETTING_webhooks_allow_networks), &gw->urls,
                           err) != 0 ||
        keystore_open(config_text(gw->config, SETTING_keystore_dir), KEYSTORE_CREATE, &gw->rnd,
                      &gw->keystore, err) != 0 ||
        loop_new(&gw->clock, &gw->loop, err) != 0 || open_signals(gw, err) != 0)
        return -1;
    gw->keyring = keyring_new(&master);
    wipe(&master, sizeof(master));
    signing_init(&gw->signing, signing.bytes);
    wipe(&signing, sizeof(signing));
    sublog_init(&gw->subs, OLD_SUBS);
    verdictlog_init(&gw->verdicts, VERDICTS_KEEP_BYTES, gw->tail_memory_bytes, VERDICTS_KEEP_MS);
    gw->submits = submits_new(gw);
    gw->lookups = lookups_new(gw);
    if (open_http(gw, err) != 0 || open_metrics(gw, err) != 0 || open_bus(gw, err) != 0 ||
        open_store(gw, err) != 0)
        return -1;
    log_event(LOG_INFO, "started", kv("port", http_port(gw->http)));
    return 0;
}

static void gateway_close(struct gateway *gw)
{
    http_close(gw->http);
    metrics_server_close(gw->metrics);
    store_close(gw->store);
    tails_close(gw->tails);
    if (gw->producer)
        producer_close(gw->producer);
    group_close(gw->execute);
    submits_free(gw->submits);
    lookups_free(gw->lookups);
    sublog_done(&gw->subs);
    verdictlog_done(&gw->verdicts);
    keyring_free(gw->keyring);
    keystore_close(gw->keystore);
    signing_done(&gw->signing);
    loop_free(gw->loop);
    arena_done(&gw->arena);
}

/* Whoever waits is told so; what is in flight is answered; then nothing is left to do. */
static int run(struct gateway *gw, struct err *err)
{
    while (!gw->stopping)
        if (loop_turn(gw->loop, 1000, err) != 0)
            return -1;
    log_event(LOG_INFO, "stopping", kv("busy", http_busy(gw->http)));
    http_stop_listening(gw->http);
    int64_t end_ms = clock_mono_ms(&gw->clock) + STOP_MS;
    while ((http_busy(gw->http) || submits_in_flight(gw->submits)) &&
           clock_mono_ms(&gw->clock) < end_ms && !gw->exit_status) {
        submits_stop(gw->submits);
        if (loop_turn(gw->loop, 50, err) != 0)
            return -1;
    }
    return gw->exit_status;
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct err err = {0};
    if (!std_fds_hold())
        return 71;
    int begun = config_args(&argc, argv, "rustbox-gateway: the HTTP API", &config, &err);
    if (begun != 0) {
        if (begun < 0)
            fprintf(stderr, "rustbox-gateway: %s\n", err.message);
        return begun < 0 ? 78 : 0;
    }
    enum log_level level = LOG_INFO;
    (void)!log_level_parse(config_text(config, SETTING_log_level), &level);
    gateway.config = config;
    gateway.clock = clock_from_env();
    log_open("gateway", level, 2, &gateway.clock);
    int status = gateway_open(&gateway, &err);
    if (status == 0)
        status = run(&gateway, &err);
    if (status < 0) {
        log_event(LOG_FATAL, "stopped", kv_err(&err));
        status = 70;
    } else {
        gateway_close(&gateway);
    }
    log_flush();
    config_free(config);
    return status;
}
