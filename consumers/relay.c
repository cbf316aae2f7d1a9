/* relay: PostgreSQL -> topics endpoints and webhooks (delivery.md rules 19, 28). Publishes what the
 * database committed: changed endpoints first, then the messages of the outbox, whose HTTP body it
 * renders and seals once. Marks rows after the broker's acknowledgement alone, so a crash anywhere
 * repeats a message, under the same webhook-id.
 *
 * Woken by a notification of the transaction that wrote work, and by a slow poll besides. Opens
 * results through the keystore: what was erased is dropped, not told. Never opens a socket to a
 * receiver, never logs content. */
#include "consumers/relay_store.h"
#include "consumers/stage_util.h"
#include "consumers/stages.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "schemas/webhook.h"
#include <stdio.h>
#include <stdlib.h>

#define CHANNEL "rustbox_relay"

/* What is published leaves dead entries in the index of what is due until the table is vacuumed:
 * four pages for a thousand. A call is answered from the subjects of these ten minutes, past all
 * that; whatever is older, as a message asked for again, is found at the next poll. */
#define RECENT_MS (10 * 60 * 1000)

struct relay {
    const struct stage_env *env;
    struct db *db;
    struct keystore *ks;
    struct signing signing;
    struct secret webhooks;
    struct relay_work work;
    struct buf plain, body, sealed;
    int64_t poll_ms; /* when all of the outbox is looked at again */
    bool more;       /* a full batch was taken, or somebody called meanwhile */
};

static void relay_close(void *self)
{
    struct relay *r = self;
    relay_work_close(&r->work);
    db_close(r->db);
    keystore_close(r->ks);
    signing_done(&r->signing);
    wipe(&r->webhooks, sizeof r->webhooks);
    wipe_buf(&r->plain);
    wipe_buf(&r->body);
    buf_done(&r->sealed);
    free(r);
}

static int relay_reopen(void *self, struct err *err)
{
    struct relay *r = self;
    db_close(r->db);
    r->db = NULL;
    if (stage_db_open(r->env->config, SETTING_db_url_relay, "relay", DB_PLANS_KEPT, &r->db, err))
        return -1;
    return db_listen(r->db, CHANNEL, err);
}

static int relay_open(const struct stage_env *env, void **self, struct err *err)
{
    const struct config *config = env->config;
    struct relay *r = calloc(1, sizeof *r);
    int64_t most = config_int(config, SETTING_relay_batch_records);
    if (!r)
        return err_set(err, ERR_NO_MEMORY, "relay: no memory");
    r->env = env;
    buf_init(&r->plain, RECORD_BYTES_MAX);
    buf_init(&r->body, WEBHOOK_BODY_MAX);
    buf_init(&r->sealed, WEBHOOK_BODY_MAX + WEBHOOK_SEALED_MAX);
    if (relay_work_open(&r->work, most > 0 ? (size_t)most : 1, err) ||
        stage_signing(config, &r->signing, err) ||
        secret_load(config_text(config, SETTING_secrets_webhooks_file), &r->webhooks, err) ||
        keystore_open(config_text(config, SETTING_keystore_dir), KEYSTORE_READ, env->rnd, &r->ks,
                      err) ||
        relay_reopen(r, err)) {
        relay_close(r);
        return -1;
    }
    *self = r;
    return 0;
}

/* ---- endpoints ---- */

static struct envelope origin_of(enum record_type type)
{
    struct envelope env = {.type = type, .version = 1};
    snprintf(env.origin, sizeof env.origin, "relay");
    return env;
}

/* The row's state is written into the document here: who disables it cannot open it. */
static int put_endpoint(struct relay *r, const struct relay_endpoint *row, struct outbox *out,
                        struct err *err)
{
    struct envelope env = origin_of(RECORD_endpoint);
    struct webhook_endpoint doc;
    struct span value = span_of(NULL, 0);
    int rc = 0;
    env.id = row->id;
    env.project = row->project;
    env.generation = (uint32_t)row->version;
    buf_clear(&r->sealed);
    if (!row->deleted) {
        rc = webhook_endpoint_open(r->webhooks.bytes, &row->project, &row->id, row->sealed, &doc,
                                   err);
        doc.disabled = row->disabled;
        if (!rc)
            rc = webhook_endpoint_seal(r->webhooks.bytes, r->env->rnd, &row->project, &row->id,
                                       &doc, &r->sealed, err);
        webhook_endpoint_wipe(&doc);
        value = buf_span(&r->sealed);
    }
    if (rc) { /* nobody can ever read it: its deliveries are dropped as of a deleted one */
        log_event(LOG_ERROR, "endpoint_unreadable", kv_uuid("endpoint", &row->id), kv_err(err));
        metric_add(METRIC_endpoints_unreadable_total, "relay", 1);
        value = span_of(NULL, 0);
    }
    if (signing_sign(&r->signing, "relay", value, &env, err))
        return -1;
    return outbox_add(out, TOPIC_endpoints, &env, value, err);
}

/* ---- messages ---- */

static struct key_id key_of(const struct relay_message *msg, const struct uuid *id, uint16_t class,
                            int64_t number)
{
    return (struct key_id){msg->project, class, uuid_day(id), (uint64_t)number};
}

static int render_result(struct relay *r, const struct relay_message *msg, struct err *err)
{
    struct envelope of = {.type = RECORD_verdict, .id = msg->evidence, .project = msg->project};
    struct key_id key = key_of(msg, &msg->evidence, msg->class, msg->evidence_key);
    BUF_AUTO struct buf aad = {.max = 256};
    envelope_aad(&of, RECORD_verdict, &aad);
    buf_clear(&r->plain);
    int rc = keystore_open_record(r->ks, &key, &msg->evidence, buf_span(&aad), msg->sealed,
                                  &r->plain, err);
    if (!rc)
        rc = webhook_body_result(msg->event, buf_span(&r->plain), &msg->subject, msg->bare,
                                 &r->body, err);
    if (r->plain.len > 0)
        wipe(r->plain.data, r->plain.len);
    return rc;
}

/* Under the subject's own data key, so that erasing it reaches the message too; without a
 * submission under the endpoint's. */
static int seal(struct relay *r, const struct relay_message *msg, struct envelope *env,
                struct err *err)
{
    if (!msg->of_result)
        return webhook_body_seal(r->webhooks.bytes, r->env->rnd, env, buf_span(&r->body),
                                 &r->sealed, err);
    struct key_id key = key_of(msg, &msg->subject, msg->own_class, msg->own_key);
    BUF_AUTO struct buf aad = {.max = 256};
    env->retention_class = msg->own_class;
    env->key_number = (uint64_t)msg->own_key;
    envelope_aad(env, RECORD_webhook, &aad);
    return keystore_seal(r->ks, &key, &msg->subject, buf_span(&aad), buf_span(&r->body), &r->sealed,
                         err);
}

static int render(struct relay *r, const struct relay_message *msg, struct envelope *env,
                  struct err *err)
{
    buf_clear(&r->body);
    buf_clear(&r->sealed);
    if (msg->erased)
        return err_set(err, ERR_ERASED, "the result is gone");
    int rc = msg->of_result ? render_result(r, msg, err)
                            : webhook_body_data(msg->event, uuid_ms(&msg->subject) * 1000000,
                                                msg->data, &r->body, err);
    if (!rc)
        rc = seal(r, msg, env, err);
    if (r->body.len > 0)
        wipe(r->body.data, r->body.len);
    return rc;
}

/* -1 only when it cannot be told now (class systemic, fatal). */
static int put_message(struct relay *r, struct relay_message *msg, struct outbox *out,
                       struct err *err)
{
    struct envelope env = origin_of(RECORD_webhook);
    struct err found = {.code = ERR_NONE};
    msg->message = webhook_message_id(r->webhooks.bytes, &msg->subject, msg->event, &msg->endpoint);
    env.id = msg->subject;
    env.project = msg->project;
    env.endpoint = msg->endpoint;
    env.event = msg->event;
    env.message = msg->message;
    env.generation = msg->generation;
    if (render(r, msg, &env, &found)) {
        enum err_class class = err_class(found.code);
        if (class == ERR_SYSTEMIC || class == ERR_FATAL || class == ERR_RETRY) {
            *err = found;
            return -1;
        }
        msg->fate = RELAY_DROP;
        msg->why = found.code == ERR_ERASED ? "erased" : "unreadable";
        metric_add(METRIC_messages_dropped_total, msg->why, 1);
        if (found.code != ERR_ERASED)
            log_event(LOG_ERROR, "message_unreadable", kv_uuid("sub", &msg->subject),
                      kv_err(&found));
        return 0;
    }
    msg->fate = RELAY_PUBLISH;
    if (signing_sign(&r->signing, "relay", buf_span(&r->sealed), &env, err))
        return -1;
    /* not by endpoint: that would be a request, and a flush, for each of a batch's partitions */
    return outbox_add_at(
        out, TOPIC_webhooks,
        partition_of_time(clock_wall_ms(r->env->clock), topic_spec(TOPIC_webhooks)->partitions),
        &env, buf_span(&r->sealed), err);
}

/* ---- the stage ---- */

static int hear(struct relay *r, struct err *err)
{
    bool any;
    if (db_notified(r->db, &any, err))
        return -1;
    r->more |= any;
    return 0;
}

static int relay_acked(void *self, struct err *err)
{
    struct relay *r = self;
    if (relay_mark(r->db, &r->work, r->env->clock->wall_ns(r->env->clock), err))
        return -1;
    return hear(r, err);
}

static int relay_handle(void *self, const struct batch *batch, struct outbox *out, struct err *err)
{
    struct relay *r = self;
    size_t published = 0;
    (void)batch;
    int64_t now_ms = clock_mono_ms(r->env->clock);
    bool whole = now_ms >= r->poll_ms;
    struct uuid since = uuid_first(whole ? 0 : clock_wall_ms(r->env->clock) - RECENT_MS);
    if (hear(r, err))
        return -1;
    r->more = false;
    if (relay_take(r->db, &r->work, &since, err))
        return -1;
    if (whole && r->work.endpoint_count == 0 && r->work.message_count < r->work.max)
        r->poll_ms = now_ms + config_ms(r->env->config, SETTING_relay_poll);
    for (size_t i = 0; i < r->work.endpoint_count; i++, published++)
        if (put_endpoint(r, &r->work.endpoints[i], out, err))
            return -1;
    for (size_t i = 0; i < r->work.message_count; i++) {
        if (put_message(r, &r->work.messages[i], out, err))
            return -1;
        published += r->work.messages[i].fate == RELAY_PUBLISH;
    }
    if (published > 0)
        return 0;
    if (r->work.message_count == 0)
        return hear(r, err);
    r->more = true; /* all of them were dropped */
    return relay_acked(r, err);
}

static int relay_fd(void *self)
{
    const struct relay *r = self;
    return r->db ? db_listen_fd(r->db) : -1;
}

static int64_t relay_due_ms(void *self)
{
    const struct relay *r = self;
    return r->more ? 0 : r->poll_ms;
}

static const enum topic outputs[] = {TOPIC_endpoints, TOPIC_webhooks};

const struct stage relay_stage = {
    .name = "relay",
    .group = "",
    .kind = STAGE_SOURCE,
    .outputs = outputs,
    .output_count = 2,
    .linger_ms = 0,
    .metrics_listen = SETTING_metrics_listen_relay,
    .open = relay_open,
    .close = relay_close,
    .reopen = relay_reopen,
    .handle = relay_handle,
    .acked = relay_acked,
    .fd = relay_fd,
    .next_due_ms = relay_due_ms,
};
