/* The jobs of execute: waiting, running, their ends, and the launcher's connection with its deaths.
 *
 * Called by execute.c. Decisions are execute_rules'. A job is noted in the journal before the
 * launcher has it, and its verdict is in the ticket's outbox before the ticket is finished. */
#include "consumers/execute_impl.h"
#include "consumers/stage_util.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "schemas/submission.h"
#include <stdlib.h>

#define CONNECT_MS 500
#define RECONNECT_MAX_MS 2000
#define HUNG_MS 15000 /* after the job's own wall limits: set-up, harvest and a loaded host */

static int64_t mono_ms(const struct execute *ex)
{
    return clock_mono_ms(ex->env->clock);
}

/* ---- the jobs in hand ---- */
static void remove_job(struct execute *ex, struct job *job)
{
    size_t at = 0;

    while (ex->jobs[at] != job)
        at++;
    memmove(&ex->jobs[at], &ex->jobs[at + 1], (ex->count - at - 1) * sizeof *ex->jobs);
    ex->count--;
    if (job->running) {
        ex->running.count--;
        ex->running.suspect &= !job->rules.suspect;
    } else
        ex->waiting[job->rules.lane]--;
    free(job);
}

static struct job *running_job(const struct execute *ex, const struct uuid *id)
{
    for (size_t i = 0; i < ex->count; i++)
        if (ex->jobs[i]->running && uuid_eq(&ex->jobs[i]->env.id, id))
            return ex->jobs[i];
    return NULL;
}

struct job *jobs_add(struct execute *ex, struct ticket *ticket, const struct record *rec,
                     const struct envelope *env)
{
    struct job *job = calloc(1, sizeof *job);
    unsigned deaths;

    CHECK(job != NULL);
    if (ex->count == ex->cap) {
        ex->cap = ex->cap ? ex->cap * 2 : 64;
        ex->jobs = realloc(ex->jobs, ex->cap * sizeof *ex->jobs);
        ex->candidates = realloc(ex->candidates, ex->cap * sizeof *ex->candidates);
        CHECK(ex->jobs != NULL && ex->candidates != NULL);
    }
    *job = (struct job){.ticket = ticket, .rec = rec, .env = *env};
    job->env.times.dequeued = ex->env->clock->wall_ns(ex->env->clock);
    job->rules = (struct rules_job){.project = env->project,
                                    .lane = env->lane,
                                    .suspect = journal_suspect(ex->journal, &env->id, &deaths),
                                    .order = ex->arrivals++};
    ex->jobs[ex->count++] = job;
    ex->waiting[env->lane]++;
    return job;
}

/* ---- ends of jobs ---- */
static void finish(struct execute *ex, struct job *job)
{
    ticket_finish(job->ticket);
    remove_job(ex, job);
}

/* Nobody may see a verdict of what was erased: the ticket ends without one. */
static int erased_or(struct execute *ex, struct job *job, int result, struct err *err)
{
    if (result < 0 && err->code != ERR_ERASED)
        return -1;
    if (result < 0)
        metric_add(METRIC_erased_total, "execute", 1);
    finish(ex, job);
    return 0;
}

static int close_by_cause(struct execute *ex, struct job *job, enum cause cause, struct err *err)
{
    return erased_or(
        ex, job, verdict_of_cause(&ex->maker, &job->env, cause, ticket_outbox(job->ticket), err),
        err);
}

/* ---- deaths ---- */
int jobs_close_poison(struct execute *ex, struct err *err)
{
    unsigned deaths;

    for (size_t i = 0; i < ex->count;) {
        struct job *job = ex->jobs[i];
        bool suspect = journal_suspect(ex->journal, &job->env.id, &deaths);
        if (job->running || !suspect || !rules_is_poison(deaths)) {
            i++;
            continue;
        }
        log_event(LOG_WARN, "poison", kv_uuid("sub", &job->env.id), kv("deaths", deaths));
        if (journal_ended(ex->journal, &job->env.id, err) < 0 ||
            close_by_cause(ex, job, CAUSE_ie_poison, err) < 0)
            return -1;
    }
    return 0;
}

/* The connection is gone, or is given up: what ran waits again, as suspects. */
static int launcher_died(struct execute *ex, const struct err *why, struct err *err)
{
    log_event(LOG_WARN, "launcher_lost", kv("running", ex->running.count), kv_err(why));
    metric_add(METRIC_launcher_deaths_total, NULL, 1);
    box_close(ex->box);
    ex->box = NULL;
    ex->slots = 0;
    ex->reconnect_ms = mono_ms(ex) + ex->backoff_ms;
    if (journal_death(ex->journal, err) < 0)
        return -1;
    for (size_t i = 0; i < ex->count;) {
        struct job *job = ex->jobs[i];
        if (job->running && !job->ticket) {
            remove_job(ex, job);
            continue;
        }
        if (job->running) {
            job->running = false;
            job->rules.suspect = true;
            ex->waiting[job->rules.lane]++;
        }
        i++;
    }
    ex->running = (struct rules_running){0, false};
    return jobs_close_poison(ex, err);
}

static int connect_launcher(struct execute *ex)
{
    struct err err = {0};
    int64_t most = config_int(ex->env->config, SETTING_execute_slots);

    if (box_open(config_text(ex->env->config, SETTING_box_socket), CONNECT_MS, &ex->box, &ex->info,
                 &err) < 0) {
        log_event(LOG_ERROR, "launcher_away", kv_err(&err));
        ex->box = NULL;
        ex->reconnect_ms = mono_ms(ex) + ex->backoff_ms;
        ex->backoff_ms =
            ex->backoff_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : ex->backoff_ms * 2;
        return 0;
    }
    ex->backoff_ms = RECONNECT_MIN_MS;
    ex->slots = most > 0 && (size_t)most < ex->info.slots ? (size_t)most : ex->info.slots;
    ex->most_waiting = ex->slots * 2 > PREFETCH_MIN ? ex->slots * 2 : PREFETCH_MIN;
    log_event(LOG_INFO, "launcher_connected", kv("slots", ex->slots),
              kv("languages", ex->info.languages), kv("permissive", ex->info.permissive));
    return 1;
}

/* ---- starting a job ---- */
static struct box_job describe(const struct job *job, const struct submission *sub)
{
    return (struct box_job){.id = job->env.id,
                            .project = job->env.project,
                            .language = sub->language,
                            .profile = sub->profile,
                            .run = limits_run(sub->language, sub->profile),
                            .compile = limits_compile(sub->language),
                            .code = sub->code,
                            .stdin_data = sub->stdin_data};
}

/* 1 = handed to the launcher, 0 = it cannot take it now or died, -1 = error. */
static int hand_over(struct execute *ex, struct job *job, const struct box_job *spec,
                     struct err *err)
{
    struct err why = {0};

    if (journal_started(ex->journal, &job->env.id, job->rules.suspect, err) < 0)
        return -1;
    if (box_submit(ex->box, spec, &why) < 0) {
        if (why.code != ERR_LAUNCHER && why.code != ERR_BUSY) {
            *err = why;
            return err_wrap(err, "handing a job to the launcher");
        }
        if (journal_released(ex->journal, &job->env.id, err) < 0) /* it never ran */
            return -1;
        return why.code == ERR_BUSY ? 0 : launcher_died(ex, &why, err);
    }
    job->running = true;
    job->deadline_ms = mono_ms(ex) + (int64_t)(spec->run.wall_ms + spec->compile.wall_ms) + HUNG_MS;
    ex->waiting[job->rules.lane]--;
    ex->running.count++;
    ex->running.suspect = job->rules.suspect;
    rules_started(&ex->turns, &job->rules, ex->waiting[LANE_BATCH] > 0);
    progress_started(&job->env, ex->env->best_effort);
    return 1;
}

/* Opens the value anew (rule 19), then starts, or closes what cannot be started. */
static int open_and_start(struct execute *ex, struct job *job, struct err *err)
{
    struct submission sub = {0};
    struct box_job spec;
    int result;

    buf_clear(&ex->plain);
    arena_reset(&ex->arena);
    result =
        stage_open_value(ex->ks, &job->env, RECORD_submission, job->rec->value, &ex->plain, err);
    if (result < 0 && err->code == ERR_ERASED)
        return erased_or(ex, job, -1, err);
    if (result == 0)
        result = submission_unpack(buf_span(&ex->plain), &ex->arena, &sub, err);
    if (result < 0 &&
        (err_class(err->code) == ERR_POISON || err_class(err->code) == ERR_REJECTED)) {
        log_event(LOG_WARN, "unreadable", kv_uuid("sub", &job->env.id), kv_err(err));
        return close_by_cause(ex, job, CAUSE_ie_unreadable, err);
    }
    if (result < 0)
        return -1;
    if (!(ex->info.languages & (1U << sub.language)))
        return close_by_cause(ex, job, CAUSE_ie_language_unavailable, err);
    spec = describe(job, &sub);
    return hand_over(ex, job, &spec, err);
}

static struct job *next_job(struct execute *ex)
{
    size_t count = 0;
    ptrdiff_t at;

    for (size_t i = 0; i < ex->count; i++) {
        struct job *job = ex->jobs[i];
        if (job->running)
            continue;
        job->rules.blocked = running_job(ex, &job->env.id) != NULL;
        ex->candidates[count++] = &job->rules;
    }
    at = rules_pick(ex->candidates, count, ex->running, &ex->turns);
    return at < 0 ? NULL : (struct job *)(uintptr_t)ex->candidates[at]; /* its first member */
}

static int schedule(struct execute *ex, struct err *err)
{
    while (ex->box && !ex->stopping && ex->running.count < ex->slots &&
           ex->running.count < ex->count) {
        size_t before = ex->count;
        struct job *job = next_job(ex);
        if (!job)
            return 0;
        int started = open_and_start(ex, job, err);
        if (started < 0)
            return -1;
        if (started == 0 && ex->count == before)
            return 0; /* no room after all */
    }
    return 0;
}

/* ---- the launcher's reports ---- */
static int take_report(struct execute *ex, struct box_report *report, struct err *err)
{
    struct job *job = running_job(ex, &report->id);
    int result = 0;

    if (!job)
        return 0;
    if (!job->ticket) {
        remove_job(ex, job);
        return 0;
    }
    result = verdict_of_report(&ex->maker, &job->env, report, ticket_outbox(job->ticket), err);
    if (result < 0 && err->code != ERR_ERASED)
        return -1;
    if (journal_ended(ex->journal, &job->env.id, err) < 0)
        return -1;
    return erased_or(ex, job, result, err);
}

static int take_reports(struct execute *ex, struct err *err)
{
    struct box_report report;
    struct err why = {0};
    int got = 0;

    while (ex->box && (got = box_next(ex->box, &report, &why)) > 0) {
        int result = take_report(ex, &report, err);
        box_report_done(&report);
        if (result < 0)
            return -1;
    }
    return got < 0 ? launcher_died(ex, &why, err) : 0;
}

static int64_t first_deadline(const struct execute *ex)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < ex->count; i++)
        if (ex->jobs[i]->running && ex->jobs[i]->deadline_ms < first)
            first = ex->jobs[i]->deadline_ms;
    return first;
}

static int check_hung(struct execute *ex, struct err *err)
{
    struct err why;

    if (!ex->box || first_deadline(ex) > mono_ms(ex))
        return 0;
    err_set(&why, ERR_LAUNCHER, "a job passed its wall limits by %d ms and no report came",
            HUNG_MS);
    return launcher_died(ex, &why, err);
}

int jobs_turn(struct execute *ex, struct err *err)
{
    if (!ex->box && ex->reconnect_ms <= mono_ms(ex))
        connect_launcher(ex);
    if (take_reports(ex, err) < 0 || check_hung(ex, err) < 0)
        return -1;
    return schedule(ex, err);
}

int64_t jobs_due_ms(const struct execute *ex)
{
    return ex->box ? first_deadline(ex) : ex->reconnect_ms;
}

int jobs_abandon(struct execute *ex, const struct ticket *ticket, struct err *err)
{
    struct err ignored;

    for (size_t i = 0; i < ex->count; i++) {
        struct job *job = ex->jobs[i];
        if (job->ticket != ticket)
            continue;
        if (!job->running) {
            remove_job(ex, job);
            return 0;
        }
        job->ticket = NULL;
        job->rec = NULL;
        if (ex->box && box_cancel(ex->box, &job->env.id, &ignored) < 0)
            log_event(LOG_WARN, "cancel_failed", kv_err(&ignored)); /* it ends by its limits */
        return journal_released(ex->journal, &job->env.id, err);
    }
    return 0;
}
