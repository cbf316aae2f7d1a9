/* admit: topic submissions -> the stored decision of every accepted id, then a job, a terminal
 * verdict, or nothing (delivery.md rules 4, 6-8, 10, 12, 16-18). validate and quota are its two
 * halves.
 *
 * Two-phase: transaction 1 stores decisions and moves counters, but its offsets are those of
 * earlier batches; this batch's outputs are produced after it, and its offsets move with the next
 * transaction. A record that comes again is recognised by its own (partition, offset) and repeats
 * what its row says.
 * Never logs content; the value is opened for validation alone and travels on unchanged.
 * Not here yet: the puncture of a late copy of an erased submission (rule 18), which comes with
 * erasure, and held rows (rule 30). */
#include "consumers/admit_store.h"
#include "consumers/days.h"
#include "consumers/stage_util.h"
#include "consumers/stages.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "schemas/submission.h"
#include "schemas/webhook.h"
#include "schemas/webhook_url.h"
#include <stdio.h>
#include <stdlib.h>

#define ATTEMPTS                                                                                   \
    8 /* of one batch's transaction, when rows, budgets or partitions move under it                \
       */

struct admit {
    const struct stage_env *env;
    struct db *db;
    struct keystore *ks;
    struct secret master; /* of the hashes of labels */
    struct signing signing;
    struct secret webhooks;
    struct webhook_url_policy urls;
    struct days days;
    struct admit_known known;
    struct arena arena; /* of one record's metadata */
    struct buf plain, sealed;
};

static void admit_close(void *self)
{
    struct admit *a = self;
    db_close(a->db);
    keystore_close(a->ks);
    wipe(&a->master, sizeof a->master);
    signing_done(&a->signing);
    wipe(&a->webhooks, sizeof a->webhooks);
    wipe_buf(&a->plain);
    buf_done(&a->sealed);
    arena_done(&a->arena);
    free(a);
}

static int admit_reopen(void *self, struct err *err)
{
    struct admit *a = self;
    db_close(a->db);
    a->db = NULL;
    days_forget(&a->days);
    admit_known_forget(&a->known);
    return stage_db_open(a->env->config, SETTING_db_url_admit, "admit", DB_PLANS_BY_COST, &a->db,
                         err);
}

static int admit_open(const struct stage_env *env, void **self, struct err *err)
{
    const struct config *config = env->config;
    struct admit *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(err, ERR_NO_MEMORY, "admit: no memory");
    a->env = env;
    arena_init(&a->arena, SUBMISSION_ARENA_MAX);
    buf_init(&a->plain, RECORD_BYTES_MAX);
    buf_init(&a->sealed, RECORD_BYTES_MAX);
    if (secret_load(config_text(config, SETTING_secrets_master_file), &a->master, err) ||
        stage_signing(config, &a->signing, err) || stage_urls(config, &a->urls, err) ||
        secret_load(config_text(config, SETTING_secrets_webhooks_file), &a->webhooks, err) ||
        keystore_open(config_text(config, SETTING_keystore_dir), KEYSTORE_READ, env->rnd, &a->ks,
                      err) ||
        admit_reopen(a, err) || days_upkeep(&a->days, a->db, env->clock, err)) {
        admit_close(a);
        return -1;
    }
    *self = a;
    return 0;
}

static int admit_load_offsets(void *self, struct mark *marks, size_t count, struct err *err)
{
    struct admit *a = self;
    return stage_load_offsets(a->db, TOPIC_submissions, marks, count, err);
}

/* ---- validate ---- */

/* The endpoint that the submission brings along: sealed here, stored in transaction 1. */
static int keep_endpoint(struct admit *a, const struct submission *sub, struct admit_item *item,
                         struct err *err)
{
    struct webhook_endpoint doc = {.format = WEBHOOK_BARE};
    if (!sub->webhook_url.data)
        return 0;
    if (webhook_url_check(&a->urls, sub->webhook_url, err))
        return err_wrap(err, "webhook_url");
    item->endpoint = webhook_submission_endpoint(a->webhooks.bytes, &item->env.id);
    buf_init(&item->webhook, WEBHOOK_SEALED_MAX);
    doc.secret_count = sub->webhook_secret.data ? 1 : 0; /* without one: unsigned, as v1 did */
    doc.secrets[0].created_ms = uuid_ms(&item->env.id);
    int rc = span_copy(sub->webhook_url, doc.url, sizeof doc.url) ||
                     (doc.secret_count > 0 &&
                      span_copy(sub->webhook_secret, doc.secrets[0].text, WEBHOOK_SECRET_TEXT))
                 ? err_set(err, ERR_BUG, "a webhook field that passed its rules does not fit")
                 : webhook_endpoint_seal(a->webhooks.bytes, a->env->rnd, &item->env.project,
                                         &item->endpoint, &doc, &item->webhook, err);
    webhook_endpoint_wipe(&doc);
    return rc;
}

static void hash_labels(struct admit *a, struct admit_item *item, const struct submission *sub)
{
    struct secret secret;
    if (sub->label_count == 0)
        return;
    secret_of_project(&a->master, &item->env.project, &secret);
    for (size_t i = 0; i < sub->label_count; i++)
        label_hash(span_of(secret.bytes, sizeof secret.bytes), &sub->labels[i],
                   item->labels[item->label_count++].bytes);
    wipe(&secret, sizeof secret);
}

/* Opens the value and applies every rule of submissions, for producers may bypass the gateway. */
static int read_value(struct admit *a, struct admit_item *item, struct err *err)
{
    const struct envelope *env = &item->env;
    struct submission sub;
    uint8_t digest[SHA256_BYTES];
    sha256(item->rec->value, digest);
    if (memcmp(digest, env->digest, sizeof digest) != 0)
        return err_set(err, ERR_CORRUPT, "value: differs from its signed digest");
    buf_clear(&a->plain);
    int rc = stage_open_value(a->ks, env, RECORD_submission, item->rec->value, &a->plain, err);
    if (!rc)
        rc = submission_unpack(buf_span(&a->plain), &a->arena, &sub, err);
    if (!rc && sub.language != env->language)
        rc = err_set(err, ERR_INVALID, "language: the header and the body must agree");
    if (!rc && sub.profile != env->profile)
        rc = err_set(err, ERR_INVALID, "profile: the header and the body must agree");
    if (!rc)
        rc = keep_endpoint(a, &sub, item, err);
    if (!rc)
        hash_labels(a, item, &sub);
    if (a->plain.len > 0)
        wipe(a->plain.data, a->plain.len);
    arena_reset(&a->arena);
    return rc;
}

/* A forged record is rejected under a key that its headers name. Where that key never was, nothing
 * could be sealed, and waiting for it would let a forger stop the partition. */
static void check_answerable(struct admit *a, struct admit_item *item)
{
    struct key_id key = stage_key(&item->env);
    struct err err = {.code = ERR_NONE};
    if (keystore_test(a->ks, &key, &item->env.id, &err) == 0 || err.code == ERR_ERASED)
        return;
    item->finding = ADMIT_DEAD;
}

/* -1 only when it cannot be told now (class systemic, fatal). */
static int validate(struct admit *a, const struct record *rec, struct admit_item *item,
                    struct err *err)
{
    bool has_id;
    *item = (struct admit_item){.rec = rec};
    bool decoded = stage_envelope(rec, &item->env, &has_id);
    item->finding =
        admit_judge(&item->env, decoded, rec->partition, rec->timestamp_ms, item->message);
    const char *why = item->finding == ADMIT_FINE
                          ? stage_distrust(&a->signing, TOPIC_submissions, &item->env, NULL)
                          : NULL;
    if (why) {
        item->finding = ADMIT_FORGED;
        snprintf(item->message, sizeof item->message, "%s", why);
    }
    if (item->finding == ADMIT_FORGED)
        check_answerable(a, item);
    if (item->finding != ADMIT_FINE)
        return 0;
    struct err found = {.code = ERR_NONE};
    if (read_value(a, item, &found) == 0)
        return 0;
    enum err_class class = err_class(found.code);
    if (class == ERR_SYSTEMIC || class == ERR_FATAL || class == ERR_RETRY) {
        *err = found;
        return -1;
    }
    item->finding = admit_opened(&found, item->message);
    return 0;
}

/* ---- quota: transaction 1 ---- */

/* A record whose day is gone is passed over (rule 17): the others must not wait for it. */
static int mark_expired(struct admit *a, struct admit_item *items, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct admit_item *item = &items[i];
        bool live;
        if (!admit_has_row(item))
            continue;
        if (days_live(&a->days, a->db, a->env->clock, item->env.retention_class,
                      uuid_day(&item->env.id), &live, err))
            return -1;
        if (!live)
            item->finding = ADMIT_EXPIRED;
    }
    return 0;
}

static int transact(struct admit *a, struct admit_item *items, const struct batch *batch,
                    struct err *err)
{
    for (int attempt = 1;; attempt++) {
        if (mark_expired(a, items, batch->count, err))
            return -1;
        if (admit_store(a->db, &a->known, attempt == 1, clock_mono_ms(a->env->clock), items,
                        batch->count, batch->store, batch->store_count, err) == 0)
            return 0;
        if ((err->code != ERR_EXPIRED && err->code != ERR_BUSY) || attempt == ATTEMPTS)
            return err->code == ERR_EXPIRED
                       ? err_set(err, ERR_BUSY, "admit: partitions move too fast")
                       : -1;
        metric_add(METRIC_transactions_redone_total, "admit", 1);
        days_forget(&a->days);
    }
}

/* ---- outputs ---- */

static int put_job(struct admit *a, const struct admit_item *item, struct outbox *out,
                   struct err *err)
{
    struct envelope env = item->env;
    env.type = RECORD_job;
    snprintf(env.origin, sizeof env.origin, "admit");
    env.times.validated = env.times.admitted = a->env->clock->wall_ns(a->env->clock);
    if (signing_sign(&a->signing, "admit", item->rec->value, &env, err))
        return -1;
    return outbox_add(out, env.lane == LANE_BATCH ? TOPIC_jobs_batch : TOPIC_jobs_interactive, &env,
                      item->rec->value, err);
}

/* The same bytes but for the nonce whenever it is repeated: its times are the broker's. */
static int seal_verdict(struct admit *a, const struct admit_item *item, struct err *err)
{
    const struct envelope *env = &item->env;
    const struct admit_row *row = &item->row;
    int64_t broker_ns = item->rec->timestamp_ms * 1000000;
    enum cause cause = row->decision == DECISION_cancelled ? CAUSE_ie_cancelled : row->cause;
    struct result result = {
        .id = env->id,
        .language = env->language,
        .profile = env->profile,
        .verdict = verdict_without_run(cause),
        .error_message = row->message[0] ? row->message : NULL,
        .times = {env->times.received, env->times.produced, broker_ns, broker_ns, 0},
        .completed_ns = broker_ns,
    };
    memcpy(result.policy, env->policy, sizeof result.policy);
    memcpy(result.digest, env->digest, sizeof result.digest);
    struct key_id key = stage_key(env);
    BUF_AUTO struct buf aad;
    buf_init(&aad, 256);
    envelope_aad(env, RECORD_verdict, &aad);
    buf_clear(&a->plain);
    if (result_pack(&result, &a->plain, err))
        return -1;
    return keystore_seal(a->ks, &key, &env->id, buf_span(&aad), buf_span(&a->plain), &a->sealed,
                         err);
}

/* A terminal record. Without a key nothing can be sealed: an empty value is `erased`. */
static int put_verdict(struct admit *a, const struct admit_item *item, bool erased,
                       struct outbox *out, struct err *err)
{
    struct envelope env = item->env;
    struct err found = {.code = ERR_NONE};
    buf_clear(&a->sealed);
    if (!erased && seal_verdict(a, item, &found)) {
        if (found.code != ERR_ERASED) {
            char id[UUID_TEXT];
            uuid_format(&env.id, id);
            *err = found;
            return err_wrap(err, "verdict of submission %s", id);
        }
        buf_clear(&a->sealed);
    }
    env.type = RECORD_verdict;
    snprintf(env.origin, sizeof env.origin, "admit");
    env.attempt = 0;
    env.times.validated = env.times.admitted = item->rec->timestamp_ms * 1000000;
    if (signing_sign(&a->signing, "admit", buf_span(&a->sealed), &env, err))
        return -1;
    return outbox_add(out, TOPIC_verdicts, &env, buf_span(&a->sealed), err);
}

static int produce(struct admit *a, const struct admit_item *item, struct outbox *out,
                   struct err *err)
{
    if (item->finding == ADMIT_DEAD) {
        metric_add(METRIC_dead_total, "admit", 1);
        log_event(LOG_WARN, "submission_dead", kv("why", item->message),
                  kv("partition", item->rec->partition), kv("offset", item->rec->offset));
        return outbox_dead(out, item->rec, item->message, err);
    }
    if (item->finding == ADMIT_EXPIRED) {
        metric_add(METRIC_expired_total, "admit", 1);
        log_event(LOG_INFO, "submission_expired", kv_uuid("sub", &item->env.id));
        return 0;
    }
    if (!item->has_row)
        return 0;
    if (item->fresh)
        metric_add(METRIC_decisions_total, admit_decision_name(item->row.decision), 1);
    switch (admit_output_of(&item->row, item->rec->partition, item->rec->offset)) {
    case OUTPUT_JOB:
        return put_job(a, item, out, err);
    case OUTPUT_VERDICT:
        return put_verdict(a, item, false, out, err);
    case OUTPUT_ERASED:
        return put_verdict(a, item, true, out, err);
    case OUTPUT_NOTHING:
        break;
    }
    return 0;
}

static int admit_handle(void *self, const struct batch *batch, struct outbox *out, struct err *err)
{
    struct admit *a = self;
    struct admit_item *items = calloc(batch->count + 1, sizeof *items);
    if (!items)
        return err_set(err, ERR_NO_MEMORY, "admit: no memory for a batch of %zu", batch->count);
    int rc = days_upkeep(&a->days, a->db, a->env->clock, err);
    for (size_t i = 0; !rc && i < batch->count; i++)
        rc = validate(a, &batch->records[i], &items[i], err);
    if (!rc)
        rc = transact(a, items, batch, err);
    for (size_t i = 0; !rc && i < batch->count; i++)
        rc = produce(a, &items[i], out, err);
    for (size_t i = 0; i < batch->count; i++)
        buf_done(&items[i].webhook);
    free(items);
    return rc;
}

static const enum topic inputs[] = {TOPIC_submissions};
static const enum topic outputs[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch, TOPIC_verdicts,
                                     TOPIC_dead};

const struct stage admit_stage = {
    .name = "admit",
    .group = "rustbox.admit",
    .kind = STAGE_BATCH,
    .offsets = OFFSETS_DATABASE,
    .marks_with_batch = false,
    .inputs = inputs,
    .input_count = 1,
    .outputs = outputs,
    .output_count = 4,
    .linger_ms = 0,
    .fetch_min_bytes = 1,
    .fetch_wait_max_ms = 500, /* idle fetches cost the broker more than they tell */
    .queued_max_kbytes = 16384,
    .metrics_listen = SETTING_metrics_listen_admit,
    .batch_records = SETTING_admit_batch_records,
    .open = admit_open,
    .close = admit_close,
    .reopen = admit_reopen,
    .load_offsets = admit_load_offsets,
    .handle = admit_handle,
};
