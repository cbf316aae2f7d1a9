/* persist: topic verdicts -> evidence, exactly once; charges the CPU used; writes webhook events to
 * the outbox; topic attempts -> what became of them (persist_attempts.h). Its effects are complete
 * in its transaction, offsets included (delivery.md rules 3, 8, 11, 14, 16-18, 28).
 *
 * Only a verdict signed by admit or execute counts, and only with the value that was signed; any
 * other goes to `dead` before it is opened, so that nobody else closes an id or stalls a partition.
 * A verdict with an empty value is the terminal record `erased`: the data key is gone, so nothing
 * can be sealed or read. It becomes a row of state `erased` without content, and so does a verdict
 * that can no longer be opened: both close the id and occupy the primary key.
 * Never stores or logs plaintext: the value is opened for its summary and its keyed hash alone. */
#include "consumers/days.h"
#include "consumers/persist_attempts.h"
#include "consumers/persist_store.h"
#include "consumers/stage_util.h"
#include "consumers/stages.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>

#define ATTEMPTS 5 /* of one batch's transaction, when partitions or locks move under it */

struct persist {
    const struct stage_env *env;
    struct db *db;
    struct keystore *ks;
    struct secret master;
    struct signing signing;
    struct days days;
    struct buf plain, canonical;
};

static void persist_close(void *self)
{
    struct persist *p = self;
    db_close(p->db);
    keystore_close(p->ks);
    wipe(&p->master, sizeof p->master);
    signing_done(&p->signing);
    wipe_buf(&p->plain);
    wipe_buf(&p->canonical);
    free(p);
}

static int persist_reopen(void *self, struct err *err)
{
    struct persist *p = self;
    db_close(p->db);
    p->db = NULL;
    days_forget(&p->days);
    /* A webhook waits for each verdict. */
    return stage_db_open(p->env->config, SETTING_db_url_persist, "persist", DB_PLANS_KEPT, &p->db,
                         err);
}

static int persist_open(const struct stage_env *env, void **self, struct err *err)
{
    const struct config *config = env->config;
    struct persist *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NO_MEMORY, "persist: no memory");
    p->env = env;
    buf_init(&p->plain, RECORD_BYTES_MAX);
    buf_init(&p->canonical, 2 * RECORD_BYTES_MAX);
    if (secret_load(config_text(config, SETTING_secrets_master_file), &p->master, err) ||
        stage_signing(config, &p->signing, err) ||
        keystore_open(config_text(config, SETTING_keystore_dir), KEYSTORE_READ, env->rnd, &p->ks,
                      err) ||
        persist_reopen(p, err) || days_upkeep(&p->days, p->db, env->clock, err)) {
        persist_close(p);
        return -1;
    }
    *self = p;
    return 0;
}

static int persist_load_offsets(void *self, struct mark *marks, size_t count, struct err *err)
{
    struct persist *p = self;
    return stage_load_offsets(p->db, TOPIC_verdicts, marks, count, err) ||
                   stage_load_offsets(p->db, TOPIC_attempts, marks, count, err)
               ? -1
               : 0;
}

/* Summary and keyed hash of the plaintext, which is wiped at once. */
static int read_value(struct persist *p, struct verdict_item *item, struct err *err)
{
    struct secret secret;
    buf_clear(&p->plain);
    buf_clear(&p->canonical);
    int rc = stage_open_value(p->ks, &item->env, RECORD_verdict, item->rec->value, &p->plain, err);
    if (!rc)
        rc = result_summary(buf_span(&p->plain), &item->summary, err);
    if (!rc)
        rc = result_canonical(buf_span(&p->plain), &p->canonical, err);
    if (!rc) {
        secret_of_project(&p->master, &item->env.project, &secret);
        struct span parts[] = {SPAN_LIT("verdict\n"), buf_span(&p->canonical)};
        hmac_sha256_parts(span_of(secret.bytes, sizeof secret.bytes), parts, 2, item->body_hash);
        wipe(&secret, sizeof secret);
    }
    if (p->plain.len > 0)
        wipe(p->plain.data, p->plain.len);
    if (p->canonical.len > 0)
        wipe(p->canonical.data, p->canonical.len);
    return rc;
}

/* -1 only when it cannot be told now (class systemic, fatal). */
static int judge(struct persist *p, const struct record *rec, struct verdict_item *item,
                 struct err *err)
{
    bool has_id;
    *item = (struct verdict_item){.rec = rec};
    bool decoded = stage_envelope(rec, &item->env, &has_id);
    item->finding = persist_judge(&item->env, decoded, rec->partition, rec->value, &item->why);
    if (item->finding == PERSIST_STORE || item->finding == PERSIST_ERASED) {
        item->why = stage_distrust(&p->signing, TOPIC_verdicts, &item->env, &rec->value);
        if (item->why)
            item->finding = PERSIST_DEAD;
    }
    if (item->finding != PERSIST_STORE)
        return 0;
    struct err found = {.code = ERR_NONE};
    if (read_value(p, item, &found)) {
        enum err_class class = err_class(found.code);
        if (class == ERR_SYSTEMIC || class == ERR_FATAL || class == ERR_RETRY) {
            *err = found;
            return -1;
        }
    }
    item->finding = persist_opened(found.code, &item->why);
    return 0;
}

/* Rows whose day is gone are passed over (rule 17): the others must not wait for them. */
static int mark_expired(struct persist *p, struct verdict_item *items, size_t count,
                        struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct verdict_item *item = &items[i];
        bool live;
        if (item->finding != PERSIST_STORE && item->finding != PERSIST_ERASED)
            continue;
        if (days_live(&p->days, p->db, p->env->clock, item->env.retention_class,
                      uuid_day(&item->env.id), &live, err))
            return -1;
        if (!live)
            item->finding = PERSIST_EXPIRED;
    }
    return 0;
}

static int store(struct persist *p, struct verdict_item *items, size_t count,
                 const struct mark *marks, size_t mark_count, struct err *err)
{
    for (int attempt = 1;; attempt++) {
        if (mark_expired(p, items, count, err))
            return -1;
        if (persist_store(p->db, items, count, marks, mark_count, err) == 0)
            return 0;
        if ((err->code != ERR_EXPIRED && err->code != ERR_BUSY) || attempt == ATTEMPTS)
            return err->code == ERR_EXPIRED
                       ? err_set(err, ERR_BUSY, "persist: partitions move too fast")
                       : -1;
        metric_add(METRIC_transactions_redone_total, "persist", 1);
        days_forget(&p->days);
    }
}

static int report(const struct verdict_item *items, size_t count, struct outbox *out,
                  struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct verdict_item *item = &items[i];
        if (item->finding == PERSIST_DEAD) {
            if (outbox_dead(out, item->rec, item->why, err))
                return -1;
            metric_add(METRIC_dead_total, "persist", 1);
            log_event(LOG_WARN, "verdict_dead", kv("why", item->why),
                      kv("partition", item->rec->partition), kv("offset", item->rec->offset));
        } else if (item->finding == PERSIST_EXPIRED) {
            metric_add(METRIC_expired_total, "persist", 1);
            log_event(LOG_INFO, "verdict_expired", kv_uuid("sub", &item->env.id));
        } else if (item->stored) {
            metric_add(METRIC_verdicts_stored_total,
                       item->finding == PERSIST_ERASED ? "erased"
                                                       : verdict_name(item->summary.verdict),
                       1);
        }
    }
    return 0;
}

/* One batch, by topic. */
struct parts {
    struct verdict_item *verdicts;
    struct attempt_item *attempts;
    size_t verdict_count, attempt_count;
    bool dead; /* some record goes to `dead` */
};

static int judge_all(struct persist *p, const struct batch *batch, struct parts *parts,
                     struct err *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *rec = &batch->records[i];
        if (strcmp(rec->topic, topic_spec(TOPIC_attempts)->name) == 0) {
            struct attempt_item *item = &parts->attempts[parts->attempt_count++];
            attempt_judge(&p->signing, rec, item);
            parts->dead |= item->why != NULL;
            continue;
        }
        struct verdict_item *item = &parts->verdicts[parts->verdict_count++];
        if (judge(p, rec, item, err))
            return -1;
        parts->dead |= item->finding == PERSIST_DEAD;
    }
    return 0;
}

static bool marks_of(const struct mark *marks, size_t count, enum topic topic)
{
    for (size_t i = 0; i < count; i++)
        if (marks[i].topic == topic)
            return true;
    return false;
}

/* The offset does not pass a record whose dead letter the broker has not acknowledged: such a batch
 * is stored without it, which a repetition does not double. */
static int store_all(struct persist *p, struct parts *parts, const struct batch *batch,
                     struct err *err)
{
    size_t marks = parts->dead ? 0 : batch->store_count;
    if ((parts->verdict_count > 0 || marks_of(batch->store, marks, TOPIC_verdicts)) &&
        store(p, parts->verdicts, parts->verdict_count, batch->store, marks, err))
        return -1;
    if (parts->attempt_count > 0 || marks_of(batch->store, marks, TOPIC_attempts))
        return attempts_store(p->db, parts->attempts, parts->attempt_count, batch->store, marks,
                              err);
    return 0;
}

static int persist_handle(void *self, const struct batch *batch, struct outbox *out,
                          struct err *err)
{
    struct persist *p = self;
    struct parts parts = {.verdicts = calloc(batch->count + 1, sizeof *parts.verdicts),
                          .attempts = calloc(batch->count + 1, sizeof *parts.attempts)};
    int rc = 0;
    if (!parts.verdicts || !parts.attempts)
        rc = err_set(err, ERR_NO_MEMORY, "persist: no memory for a batch of %zu", batch->count);
    if (!rc)
        rc = days_upkeep(&p->days, p->db, p->env->clock, err);
    if (!rc)
        rc = judge_all(p, batch, &parts, err);
    if (!rc)
        rc = store_all(p, &parts, batch, err);
    if (!rc)
        rc = report(parts.verdicts, parts.verdict_count, out, err);
    if (!rc)
        rc = attempts_report(parts.attempts, parts.attempt_count, out, err);
    free(parts.verdicts);
    free(parts.attempts);
    return rc;
}

static const enum topic inputs[] = {TOPIC_verdicts, TOPIC_attempts};
static const enum topic outputs[] = {TOPIC_dead};

const struct stage persist_stage = {
    .name = "persist",
    .group = "rustbox.persist",
    .kind = STAGE_BATCH,
    .offsets = OFFSETS_DATABASE,
    .marks_with_batch = true,
    .inputs = inputs,
    .input_count = 2,
    .outputs = outputs,
    .output_count = 1,
    .linger_ms = 0,
    .fetch_min_bytes = 1,
    .fetch_wait_max_ms = 500, /* idle fetches cost the broker more than they tell */
    .gather_ms = 25,          /* a batch is a fetch, a transaction and a flush */
    .queued_max_kbytes = 16384,
    .metrics_listen = SETTING_metrics_listen_persist,
    .batch_records = SETTING_persist_batch_records,
    .open = persist_open,
    .close = persist_close,
    .reopen = persist_reopen,
    .load_offsets = persist_load_offsets,
    .handle = persist_handle,
};
