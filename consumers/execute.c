/* execute: runs admitted jobs in the launcher and writes their verdicts (delivery.md rules 2, 5,
 * 15, 16, 19).
 *
 * A job waits here, its value still sealed, until it has a slot; then the value is opened (erased
 * meanwhile: no verdict), noted in the journal and handed to the launcher. A launcher that died or
 * hangs makes what ran suspect: those jobs run again, alone; nothing is lost and no verdict is
 * guessed. Never blocks but for connecting to the launcher (at most half a second). Who runs next
 * is decided in execute_rules. */
#include "consumers/execute_impl.h"
#include "consumers/stage_util.h"
#include "consumers/stages.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "schemas/submission.h"
#include <stdio.h>
#include <stdlib.h>

#define PLAIN_MAX (2 * BODY_BYTES_MAX) /* what validate let pass is far below */

static void close_execute(void *self)
{
    struct execute *ex = self;
    struct err ignored;

    for (size_t i = 0; i < ex->count; i++) { /* they end with us, and not by their own doing */
        if (ex->jobs[i]->in_flight > 0 &&
            journal_released(ex->journal, &ex->jobs[i]->env.id, &ignored) < 0)
            log_event(LOG_WARN, "journal_failed", kv_err(&ignored));
        jobs_free(ex->jobs[i]);
    }
    box_close(ex->box);
    journal_close(ex->journal);
    verdict_maker_done(&ex->maker);
    signing_done(&ex->signing);
    keystore_close(ex->ks);
    wipe_buf(&ex->plain);
    arena_done(&ex->arena);
    free(ex->jobs);
    free(ex->candidates);
    free(ex->flights);
    free(ex);
}

static int open_execute(const struct stage_env *env, void **self, struct err *err)
{
    struct execute *ex = calloc(1, sizeof *ex);
    char path[512];
    int len = snprintf(path, sizeof path, "%s/%s.journal",
                       config_text(env->config, SETTING_execute_journal_dir), env->bus->client_id);

    CHECK(ex != NULL);
    *ex =
        (struct execute){.env = env, .backoff_ms = RECONNECT_MIN_MS, .most_waiting = PREFETCH_MIN};
    buf_init(&ex->plain, PLAIN_MAX);
    arena_init(&ex->arena, SUBMISSION_ARENA_MAX);
    if (len < 0 || (size_t)len >= sizeof path)
        err_set(err, ERR_CONFIG, "[execute] journal_dir is too long");
    else if (stage_signing(env->config, &ex->signing, err) == 0 &&
             keystore_open(config_text(env->config, SETTING_keystore_dir), KEYSTORE_READ, env->rnd,
                           &ex->ks, err) == 0 &&
             journal_open(path, &ex->journal, err) == 0) {
        verdict_maker_init(&ex->maker, ex->ks, &ex->signing, env->clock);
        *self = ex;
        return 0;
    }
    close_execute(ex);
    return -1;
}

static int reopen_execute(void *self, struct err *err)
{
    (void)self, (void)err; /* the launcher is reconnected by itself; keys are opened at each use */
    return 0;
}

/* A record nobody can answer for goes to `dead`; its bytes stay readable for whoever holds the key.
 */
static enum stage_start bury(struct ticket *ticket, const struct record *rec, const char *why,
                             struct err *err)
{
    if (outbox_dead(ticket_outbox(ticket), rec, why, err) < 0)
        return STAGE_ERROR;
    metric_add(METRIC_dead_total, "execute", 1);
    ticket_finish(ticket);
    return STAGE_STARTED;
}

/* The signed headers first: a forged lane must not pause anybody's topic. The value's digest, which
 * costs more, is taken once, when there is room. */
static enum stage_start start(void *self, struct ticket *ticket, const struct record *rec,
                              struct err *err)
{
    struct execute *ex = self;
    struct envelope env;
    const char *why;
    bool has_id, readable = stage_envelope(rec, &env, &has_id);

    if (!readable)
        return bury(ticket, rec, has_id ? "its headers break a rule" : "it has no readable id",
                    err);
    if (env.type != RECORD_job)
        return bury(ticket, rec, "it is not a job", err);
    enum topic topic = env.lane == LANE_BATCH ? TOPIC_jobs_batch : TOPIC_jobs_interactive;
    if ((why = stage_distrust(&ex->signing, topic, &env, NULL)))
        return bury(ticket, rec, why, err);
    ex->full[env.lane] =
        !rules_accepts(ex->waiting[env.lane], ex->most_waiting, ex->full[env.lane]);
    if (ex->full[env.lane])
        return STAGE_FULL;
    if ((why = stage_distrust(&ex->signing, topic, &env, &rec->value)))
        return bury(ticket, rec, why, err);
    jobs_add(ex, ticket, rec, &env);
    return STAGE_STARTED;
}

static int ready(void *self, struct err *err)
{
    struct execute *ex = self;

    if (jobs_close_poison(ex, err) < 0) /* deaths of the process before */
        return -1;
    return jobs_turn(ex, err);
}

static int fd(void *self)
{
    const struct execute *ex = self;

    return ex->box ? box_fd(ex->box) : -1;
}

static int64_t next_due_ms(void *self)
{
    return jobs_due_ms(self);
}

static void revoked(void *self, struct ticket *const *tickets, size_t count)
{
    struct err err;

    for (size_t i = 0; i < count; i++)
        if (jobs_abandon(self, tickets[i], &err) < 0)
            log_event(LOG_WARN, "journal_failed", kv_err(&err));
}

static size_t draining(void *self)
{
    struct execute *ex = self;
    size_t open = 0;

    ex->stopping = true;
    for (size_t i = 0; i < ex->count; i++)
        open += jobs_will_end(ex->jobs[i]);
    return open;
}

static const enum topic inputs[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch};
static const enum topic outputs[] = {TOPIC_verdicts, TOPIC_progress, TOPIC_dead};

const struct stage execute_stage = {
    .name = "execute",
    .group = "rustbox.execute",
    .kind = STAGE_ASYNC,
    .offsets = OFFSETS_KAFKA,
    .inputs = inputs,
    .input_count = COUNT_OF(inputs),
    .outputs = outputs,
    .output_count = COUNT_OF(outputs),
    .linger_ms = 0,
    .fetch_min_bytes = 1,
    .fetch_wait_max_ms = 50, /* a resume waits for it, with half of what was prefetched in hand */
    .queued_max_kbytes = 1024,
    .metrics_listen = SETTING_metrics_listen_execute,
    .open = open_execute,
    .close = close_execute,
    .reopen = reopen_execute,
    .start = start,
    .fd = fd,
    .ready = ready,
    .next_due_ms = next_due_ms,
    .revoked = revoked,
    .draining = draining,
};
