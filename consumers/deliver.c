/* deliver: topics webhooks and webhooks.retry.* -> HTTP (delivery.md rules 1-5, 18, 19). Signs and
 * posts each message to its endpoint, writes every attempt to `attempts`, and what failed to the
 * next delay topic or to webhooks.dead.
 *
 * One process, one thread, thousands of POSTs at once (lib/http/post). A record of a delay topic
 * that is not yet due waits in hand while its own partition is paused. Endpoints come from the
 * compacted topic; the database is never asked. What is in the log of attempts is not sent again
 * after a restart. Reads no response body, follows no redirect, logs neither URL nor content. */
#include "consumers/deliver_impl.h"
#include "consumers/stages.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WAIT_SLICE_MS 60000 /* wall clocks are set: a due time is looked at again after so long */

int64_t deliver_mono_ms(const struct deliver *d)
{
    return clock_mono_ms(d->env->clock);
}

int64_t deliver_wall_ms(const struct deliver *d)
{
    return clock_wall_ms(d->env->clock);
}

static void close_deliver(void *self)
{
    struct deliver *d = self;

    if (d->poster)
        hand_abandon_all(d);
    lives_sweep(d, true);
    hand_free(d);
    post_close(d->poster);
    tails_close(d);
    if (d->epoll_fd >= 0)
        close(d->epoll_fd);
    signing_done(&d->signing);
    keystore_close(d->ks);
    wipe(&d->webhooks, sizeof d->webhooks);
    buf_done(&d->text);
    buf_done(&d->signature);
    free(d->ready);
    free(d);
}

static int open_poster(struct deliver *d, struct err *err)
{
    const struct config *config = d->env->config;
    struct post_config settings = {.clock = d->env->clock,
                                   .policy = &d->policy,
                                   .schemes = config_text(config, SETTING_webhooks_schemes),
                                   .ports = config_text(config, SETTING_webhooks_ports),
                                   .ca_file = config_text(config, SETTING_deliver_ca_file),
                                   .dns_servers = config_text(config, SETTING_deliver_dns_servers),
                                   .connect_ms =
                                       (int)config_ms(config, SETTING_deliver_connect_timeout),
                                   .whole_ms = (int)config_ms(config, SETTING_deliver_timeout),
                                   .most = d->most};
    struct epoll_event event = {.events = EPOLLIN};

    if (address_policy_parse(config_text(config, SETTING_webhooks_allow_networks), &d->policy,
                             err) < 0)
        return err_wrap(err, "[webhooks] allow_networks");
    if (post_open(&settings, hand_posted, d, &d->poster, err) < 0)
        return err_wrap(err, "[webhooks] and [deliver]");
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    event.data.fd = post_fd(d->poster);
    if (d->epoll_fd < 0 || epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
        return err_sys(err, ERR_SYSTEM, "deliver: epoll");
    if (d->policy.count > 0 || strcmp(settings.schemes, "https") != 0)
        log_event(LOG_WARN, "relaxed",
                  kv("allow_networks", config_text(config, SETTING_webhooks_allow_networks)),
                  kv("schemes", settings.schemes),
                  kv("message", "webhooks may reach private networks or go unencrypted: right for "
                                "development and for networks of your own alone"));
    return 0;
}

static int open_deliver(const struct stage_env *env, void **self, struct err *err)
{
    struct deliver *d = calloc(1, sizeof *d);

    CHECK(d != NULL);
    d->env = env;
    d->epoll_fd = -1;
    d->window.size = RULES_WINDOW_MIN;
    d->most = (size_t)config_int(env->config, SETTING_deliver_in_flight);
    d->endpoint_most = (size_t)config_int(env->config, SETTING_deliver_endpoint_in_flight);
    d->breaker_failures = (unsigned)config_int(env->config, SETTING_deliver_breaker_failures);
    buf_init(&d->text, ATTEMPT_BYTES_MAX);
    buf_init(&d->signature, SIGNATURE_MAX);
    if (d->most == 0)
        err_set(err, ERR_CONFIG, "[deliver] in_flight is 0: nothing could ever be delivered");
    else if (stage_signing(env->config, &d->signing, err) == 0 &&
             secret_load(config_text(env->config, SETTING_secrets_webhooks_file), &d->webhooks,
                         err) == 0 &&
             keystore_open(config_text(env->config, SETTING_keystore_dir), KEYSTORE_READ, env->rnd,
                           &d->ks, err) == 0 &&
             open_poster(d, err) == 0 && tails_open(d, err) == 0) {
        *self = d;
        return 0;
    }
    close_deliver(d);
    return -1;
}

static int reopen_deliver(void *self, struct err *err)
{
    struct deliver *d = self;

    (void)err; /* tails and connections mend themselves */
    d->failed = (struct err){.code = ERR_NONE};
    return 0;
}

/* ---- records ---- */

static enum stage_start bury(struct deliver *d, struct ticket *ticket, const struct record *rec,
                             const char *why, struct err *err)
{
    if (outbox_dead(ticket_outbox(ticket), rec, why, err) < 0)
        return STAGE_ERROR;
    metric_add(METRIC_dead_total, "deliver", 1);
    hand_unacked(d);
    ticket_finish(ticket);
    return STAGE_STARTED;
}

static bool not_yet_due(struct deliver *d, struct ticket *ticket, const struct envelope *env)
{
    int64_t wait_ms = env->not_before_ms - deliver_wall_ms(d);

    if (wait_ms <= 0)
        return false;
    ticket_wait_until(ticket,
                      deliver_mono_ms(d) + (wait_ms > WAIT_SLICE_MS ? WAIT_SLICE_MS : wait_ms));
    return true;
}

/* A record that was sent already, or of which another copy is at hand. */
static enum stage_start pass_over(struct deliver *d, struct ticket *ticket,
                                  const struct record *rec, const struct envelope *env,
                                  struct seen_entry *entry, struct err *err)
{
    metric_add(METRIC_deliveries_repeated_total, NULL, 1);
    if (entry->state == SEEN_LOGGED && end_repeat(d, ticket, rec, env, entry, err) < 0)
        return STAGE_ERROR;
    if (entry->state == SEEN_LOGGED)
        entry->state = SEEN_DONE; /* this ticket stands for what follows */
    hand_unacked(d);
    ticket_finish(ticket);
    return STAGE_STARTED;
}

static bool has_room(struct deliver *d)
{
    d->full = d->full ? d->in_hand > IN_HAND_MAX / 2 : d->in_hand >= IN_HAND_MAX;
    return !d->full;
}

static enum stage_start start(void *self, struct ticket *ticket, const struct record *rec,
                              struct err *err)
{
    struct deliver *d = self;
    struct envelope env;
    enum topic topic;
    const char *why;
    bool has_id, readable = stage_envelope(rec, &env, &has_id);

    if (!readable)
        return bury(d, ticket, rec, has_id ? "its headers break a rule" : "it has no readable id",
                    err);
    if (env.type != RECORD_webhook || topic_find(span_text(rec->topic), &topic) < 0)
        return bury(d, ticket, rec, "it is not a webhook", err);
    if ((why = stage_distrust(&d->signing, topic, &env, NULL)))
        return bury(d, ticket, rec, why, err);
    if (not_yet_due(d, ticket, &env))
        return STAGE_WAIT;
    if (!d->endpoints_read ||
        !tails_know_since(d, env.not_before_ms ? env.not_before_ms : rec->timestamp_ms) ||
        !has_room(d))
        return STAGE_FULL;
    if ((why = stage_distrust_value(topic, &env, &rec->value)))
        return bury(d, ticket, rec, why, err);
    if (env.not_before_ms)
        metric_observe(METRIC_delivery_lateness_seconds, topic_spec(topic)->name,
                       (uint64_t)(deliver_wall_ms(d) - env.not_before_ms) * 1000000);
    struct seen_key key = {env.message, env.generation, env.attempt};
    struct seen_entry *entry = seen_find(d->seen, &key);
    if (entry && entry->state != SEEN_NOTHING)
        return pass_over(d, ticket, rec, &env, entry, err);
    hand_add(d, ticket, rec, &env, topic);
    return STAGE_STARTED;
}

/* ---- turns ---- */

static int ready(void *self, struct err *err)
{
    struct deliver *d = self;

    if (tails_turn(d, err) < 0)
        return -1;
    post_turn(d->poster);
    if (d->failed.code == ERR_NONE)
        return hand_turn(d, err);
    *err = d->failed;
    return -1;
}

static int fd(void *self)
{
    return ((struct deliver *)self)->epoll_fd;
}

static int64_t next_due_ms(void *self)
{
    const struct deliver *d = self;
    int64_t due_ms = hand_due_ms(d), post_ms = post_due_ms(d->poster), tails_ms = tails_due_ms(d);

    due_ms = post_ms < due_ms ? post_ms : due_ms;
    return tails_ms < due_ms ? tails_ms : due_ms;
}

/* Eager assignments: always all of them. What is in the log from now on, others may have written.
 */
static void revoked(void *self, struct ticket *const *tickets, size_t count)
{
    struct deliver *d = self;

    (void)tickets, (void)count;
    hand_abandon_all(d);
    tails_forget_past(d);
    d->full = false;
}

static void ticket_acked(void *self, int64_t waited_ns)
{
    struct deliver *d = self;

    if (d->unacked > 0)
        d->unacked--;
    d->acked_ms = deliver_mono_ms(d);
    window_acked(&d->window, waited_ns / 1000000, d->most, deliver_mono_ms(d));
    d->dirty |= d->ready_count > 0;
}

static size_t draining(void *self)
{
    struct deliver *d = self;

    d->stopping = true;
    return d->in_flight;
}

static const enum topic inputs[] = {TOPIC_webhooks,          TOPIC_webhooks_retry_5s,
                                    TOPIC_webhooks_retry_1m, TOPIC_webhooks_retry_10m,
                                    TOPIC_webhooks_retry_1h, TOPIC_webhooks_retry_6h,
                                    TOPIC_webhooks_retry_24h};
static const enum topic outputs[] = {
    TOPIC_attempts,           TOPIC_webhooks_retry_5s, TOPIC_webhooks_retry_1m,
    TOPIC_webhooks_retry_10m, TOPIC_webhooks_retry_1h, TOPIC_webhooks_retry_6h,
    TOPIC_webhooks_retry_24h, TOPIC_webhooks_dead,     TOPIC_dead};

const struct stage deliver_stage = {
    .name = "deliver",
    .group = GROUP_DELIVER,
    .kind = STAGE_ASYNC,
    .offsets = OFFSETS_KAFKA,
    .inputs = inputs,
    .input_count = COUNT_OF(inputs),
    .outputs = outputs,
    .output_count = COUNT_OF(outputs),
    .linger_ms = 0, /* until it is acknowledged, a kill repeats the delivery */
    .fetch_min_bytes = 1,
    .fetch_wait_max_ms = 100, /* a resume waits for it */
    .queued_max_kbytes = 4096,
    .metrics_listen = SETTING_metrics_listen_deliver,
    .open = open_deliver,
    .close = close_deliver,
    .reopen = reopen_deliver,
    .start = start,
    .fd = fd,
    .ready = ready,
    .next_due_ms = next_due_ms,
    .revoked = revoked,
    .ticket_acked = ticket_acked,
    .draining = draining,
};
