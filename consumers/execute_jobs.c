/* The jobs of execute: waiting, running, their flights and ends, and the launcher's connection with
 * its deaths.
 *
 * Called by execute.c. Decisions are execute_rules'. A job's verdict is in the ticket's outbox
 * before the ticket is finished. */
#include "consumers/execute_impl.h"
#include "consumers/stage_util.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>

#define CONNECT_MS 500
#define RECONNECT_MAX_MS 2000
#define RELEASE_AGAIN_MS 50

int64_t jobs_now_ms(const struct execute *ex)
{
    return clock_mono_ms(ex->env->clock);
}

/* ---- the jobs in hand ---- */
void jobs_free(struct job *job)
{
    cases_free(job->cases);
    arena_done(&job->arena);
    free(job);
}

/* Tells the launcher to drop what was built; what it cannot be told now it is told later. A
 * connection that has died is found when it is read. */
static void send_releases(struct execute *ex)
{
    struct err ignored;

    while (ex->box && ex->release_count > 0 &&
           box_release(ex->box, &ex->releases[ex->release_count - 1], &ignored) == 0)
        ex->release_count--;
}

static void release(struct execute *ex, const struct uuid *id)
{
    if (!ex->box || ex->release_count == BOX_BUILT_MAX)
        return;
    ex->releases[ex->release_count++] = *id;
    send_releases(ex);
}

/* No cases any more: the value is closed, and so is what was built of it. */
static void drop_cases(struct execute *ex, struct job *job)
{
    if (!job->cases)
        return;
    release(ex, &job->env.id);
    ex->with_cases--;
    cases_free(job->cases);
    job->cases = NULL;
}

static void remove_job(struct execute *ex, struct job *job)
{
    size_t at = 0;

    while (ex->jobs[at] != job)
        at++;
    memmove(&ex->jobs[at], &ex->jobs[at + 1], (ex->count - at - 1) * sizeof *ex->jobs);
    ex->count--;
    if (!job->running)
        ex->waiting[job->rules.lane]--;
    CHECK(job->in_flight == 0);
    drop_cases(ex, job);
    jobs_free(job);
}

/* ---- flights ---- */
static void judge_running(struct execute *ex)
{
    ex->running.suspect = false;
    for (size_t i = 0; i < ex->running.count; i++)
        ex->running.suspect |= ex->flights[i].job->rules.suspect;
}

void flights_add(struct execute *ex, const struct flight *flight)
{
    CHECK(ex->running.count < ex->slots);
    ex->flights[ex->running.count++] = *flight;
    flight->job->in_flight++;
    judge_running(ex);
}

static bool take_flight(struct execute *ex, const struct uuid *id, struct flight *out)
{
    for (size_t i = 0; i < ex->running.count; i++) {
        if (!uuid_eq(&ex->flights[i].id, id))
            continue;
        *out = ex->flights[i];
        out->job->in_flight--;
        ex->flights[i] = ex->flights[--ex->running.count];
        judge_running(ex);
        return true;
    }
    return false;
}

/* Their reports follow. Of cases: those that are not wanted any more, or all. */
static void cancel_flights(struct execute *ex, const struct job *job, bool all)
{
    struct err ignored;

    for (size_t i = 0; ex->box && i < ex->running.count; i++) {
        const struct flight *flight = &ex->flights[i];
        bool meant = flight->job == job && (all || cases_unwanted(job->cases, flight->index));
        if (meant && box_cancel(ex->box, &flight->id, &ignored) < 0)
            log_event(LOG_WARN, "cancel_failed", kv_err(&ignored)); /* it ends by its limits */
    }
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
    arena_init(&job->arena, 65536);
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
static bool has_others_of_slice(const struct execute *ex, const struct job *job)
{
    int32_t partition = envelope_partition(&job->env, TOPIC_verdicts);

    for (size_t i = 0; i < ex->count; i++)
        if (ex->jobs[i] != job &&
            envelope_partition(&ex->jobs[i]->env, TOPIC_verdicts) == partition)
            return true;
    return false;
}

static void finish(struct execute *ex, struct job *job)
{
    size_t waiting = ex->waiting[LANE_INTERACTIVE] + ex->waiting[LANE_BATCH];

    if (rules_lingers(has_others_of_slice(ex, job), waiting, ex->slots))
        ticket_linger(job->ticket, PARTITION_SLICE_MS);
    ticket_finish(job->ticket);
    remove_job(ex, job);
}

/* Nobody may see a verdict of what was erased: the ticket ends without one. */
int jobs_erased_or(struct execute *ex, struct job *job, int result, struct err *err)
{
    if (result < 0 && err->code != ERR_ERASED)
        return -1;
    if (result < 0)
        metric_add(METRIC_erased_total, "execute", 1);
    finish(ex, job);
    return 0;
}

static struct verdict_more more_of(const struct job *job)
{
    struct verdict_more more = {.labels = job->labels, .label_count = job->label_count};

    if (job->cases)
        more.cases = cases_results(job->cases, &more.case_count);
    return more;
}

int jobs_close_by_cause(struct execute *ex, struct job *job, enum cause cause, struct err *err)
{
    return jobs_erased_or(ex, job,
                          verdict_of_cause(&ex->maker, &job->env, more_of(job), cause,
                                           ticket_outbox(job->ticket), err),
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
            jobs_close_by_cause(ex, job, CAUSE_ie_poison, err) < 0)
            return -1;
    }
    return 0;
}

/* The connection is gone, or is given up: what ran waits again, as suspects. */
int jobs_launcher_died(struct execute *ex, const struct err *why, struct err *err)
{
    size_t running = ex->running.count;

    log_event(LOG_WARN, "launcher_lost", kv("running", running), kv_err(why));
    metric_add(METRIC_launcher_deaths_total, NULL, 1);
    box_close(ex->box);
    ex->box = NULL;
    ex->slots = 0;
    ex->release_count = 0;
    ex->running = (struct rules_running){0, false};
    ex->reconnect_ms = jobs_now_ms(ex) + ex->backoff_ms;
    if (journal_death(ex->journal, err) < 0)
        return -1;
    for (size_t i = 0; i < ex->count;) {
        struct job *job = ex->jobs[i];
        bool flew = job->in_flight > 0;
        job->in_flight = 0;
        if (job->running && !job->ticket) {
            remove_job(ex, job);
            continue;
        }
        if (job->running) {
            drop_cases(ex, job); /* what was built is gone: from the beginning */
            job->running = false;
            job->rules.suspect |= flew;
            ex->waiting[job->rules.lane]++;
        }
        i++;
    }
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
        ex->reconnect_ms = jobs_now_ms(ex) + ex->backoff_ms;
        ex->backoff_ms =
            ex->backoff_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : ex->backoff_ms * 2;
        return 0;
    }
    ex->backoff_ms = RECONNECT_MIN_MS;
    ex->slots = most > 0 && (size_t)most < ex->info.slots ? (size_t)most : ex->info.slots;
    ex->flights = realloc(ex->flights, ex->slots * sizeof *ex->flights);
    CHECK(ex->flights != NULL);
    ex->most_waiting = ex->slots * 2 > PREFETCH_MIN ? ex->slots * 2 : PREFETCH_MIN;
    log_event(LOG_INFO, "launcher_connected", kv("slots", ex->slots),
              kv("languages", ex->info.languages), kv("permissive", ex->info.permissive));
    return 1;
}

bool jobs_will_end(const struct job *job)
{
    bool more = job->cases && cases_more(job->cases);

    return job->running && job->ticket && !more;
}

/* ---- who is next ---- */
/* May it be begun: is no copy of it running, and is there a place for one more with cases? */
static bool blocked(const struct execute *ex, const struct job *job)
{
    return running_job(ex, &job->env.id) != NULL ||
           (job->has_cases && ex->with_cases >= start_cases_max(ex));
}

static struct job *next_job(struct execute *ex)
{
    size_t count = 0;
    ptrdiff_t at;

    for (size_t i = 0; i < ex->count; i++) {
        struct job *job = ex->jobs[i];
        if (job->running &&
            (!job->cases || !job->ticket || job->erased || cases_next(job->cases) == CASE_NONE))
            continue;
        job->rules.blocked = !job->running && blocked(ex, job);
        ex->candidates[count++] = &job->rules;
    }
    at = rules_pick(ex->candidates, count, ex->running, &ex->turns);
    return at < 0 ? NULL : (struct job *)(uintptr_t)ex->candidates[at]; /* its first member */
}

static int schedule(struct execute *ex, struct err *err)
{
    while (ex->box && !ex->stopping && ex->running.count < ex->slots) {
        struct job *job = next_job(ex);
        enum started started = job ? start_next(ex, job, err) : START_NO_ROOM;
        if (started == START_ERROR)
            return -1;
        if (started == START_NO_ROOM)
            return 0;
    }
    return 0;
}

/* ---- the launcher's reports ---- */
/* The last word about a job that ran. */
static int end(struct execute *ex, struct job *job, int result, struct err *err)
{
    struct err made = *err;

    if (result < 0 && err->code != ERR_ERASED)
        return -1;
    if (journal_ended(ex->journal, &job->env.id, err) < 0)
        return -1;
    *err = made;
    return jobs_erased_or(ex, job, result, err);
}

static int end_cases(struct execute *ex, struct job *job, struct err *err)
{
    struct evidence *ev = calloc(1, sizeof *ev);
    CHECK(ev != NULL);
    struct decision decision = cases_decide(job->cases, ev);
    int result = verdict_of_cases(&ex->maker, &job->env, more_of(job), decision, ev, job->began_ns,
                                  ticket_outbox(job->ticket), err);
    free(ev);
    return end(ex, job, result, err);
}

/* A report of a build, or of one case. */
static int take_case(struct execute *ex, struct job *job, size_t index,
                     const struct box_report *report, struct err *err)
{
    enum language language = cases_submission(job->cases)->language;

    if (job->erased && job->in_flight == 0) {
        err_set(err, ERR_ERASED, "erased while its cases ran");
        return end(ex, job, -1, err);
    }
    if (index == FLIGHT_BUILD && !box_built(language, &report->evidence))
        return end(ex, job,
                   verdict_of_report(&ex->maker, &job->env, more_of(job), report,
                                     ticket_outbox(job->ticket), err),
                   err);
    if (index == FLIGHT_BUILD)
        cases_built(job->cases, &report->evidence);
    else if (cases_take(job->cases, index, report, err) < 0)
        return -1;
    cancel_flights(ex, job, false);
    if (cases_over(job->cases))
        return end_cases(ex, job, err);
    return job->in_flight > 0 ? 0 : journal_released(ex->journal, &job->env.id, err);
}

static int take_report(struct execute *ex, struct box_report *report, struct err *err)
{
    struct flight flight;

    if (!take_flight(ex, &report->id, &flight))
        return 0;
    struct job *job = flight.job;
    if (!job->ticket) {
        if (job->in_flight == 0)
            remove_job(ex, job);
        return 0;
    }
    if (flight.index != FLIGHT_ALONE)
        return take_case(ex, job, flight.index, report, err);
    return end(ex, job,
               verdict_of_report(&ex->maker, &job->env, more_of(job), report,
                                 ticket_outbox(job->ticket), err),
               err);
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
    return got < 0 ? jobs_launcher_died(ex, &why, err) : 0;
}

static int64_t first_deadline(const struct execute *ex)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < ex->running.count; i++)
        if (ex->flights[i].deadline_ms < first)
            first = ex->flights[i].deadline_ms;
    return first;
}

static int check_hung(struct execute *ex, struct err *err)
{
    struct err why;

    if (!ex->box || first_deadline(ex) > jobs_now_ms(ex))
        return 0;
    err_set(&why, ERR_LAUNCHER, "a job is long past its wall limits and no report came");
    return jobs_launcher_died(ex, &why, err);
}

int jobs_turn(struct execute *ex, struct err *err)
{
    if (!ex->box && ex->reconnect_ms <= jobs_now_ms(ex))
        connect_launcher(ex);
    send_releases(ex);
    if (take_reports(ex, err) < 0 || check_hung(ex, err) < 0)
        return -1;
    start_tell(ex);
    return schedule(ex, err);
}

int64_t jobs_due_ms(const struct execute *ex)
{
    int64_t soon = jobs_now_ms(ex) + RELEASE_AGAIN_MS, first = first_deadline(ex);
    int64_t tell = start_tell_due_ms(ex);

    if (!ex->box)
        return ex->reconnect_ms;
    first = tell < first ? tell : first;
    return ex->release_count > 0 && soon < first ? soon : first;
}

int jobs_abandon(struct execute *ex, const struct ticket *ticket, struct err *err)
{
    for (size_t i = 0; i < ex->count; i++) {
        struct job *job = ex->jobs[i];
        if (job->ticket != ticket)
            continue;
        bool noted = job->in_flight > 0;
        struct uuid id = job->env.id;
        job->ticket = NULL;
        job->rec = NULL;
        cancel_flights(ex, job, true);
        if (!noted)
            remove_job(ex, job);
        return noted ? journal_released(ex->journal, &id, err) : 0;
    }
    return 0;
}
