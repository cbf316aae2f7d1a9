/* Starting: a job's value is opened, the run, build or case described and handed to the launcher.
 * The journal has a job before the launcher does, and as long as anything of it is in flight. */
#include "consumers/execute_impl.h"
#include "consumers/stage_util.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "lib/log/log.h"

#define HUNG_MS 15000 /* after the run's own wall limits: set-up, harvest and a loaded host */
#define CASES_JOBS_MIN 4
/* A start is told when the job still runs after this long: of a shorter one its verdict tells more,
 * and a record and its readers cost as much as a fifth of the job's way. One start in a while is
 * told at once: by it gateways know that this process works. */
#define TELL_AFTER_MS 30
#define TELL_ALIVE_MS 5000

size_t start_cases_max(const struct execute *ex)
{
    size_t most = ex->slots * 2 > CASES_JOBS_MIN ? ex->slots * 2 : CASES_JOBS_MIN;
    return most < BOX_BUILT_MAX / 2 ? most : BOX_BUILT_MAX / 2;
}

static struct box_job describe(const struct job *job, const struct submission *sub,
                               struct box_file files[GIVEN_FILES_MAX])
{
    for (size_t i = 0; i < sub->file_count; i++)
        files[i] = (struct box_file){sub->files[i].path, sub->files[i].content};
    return (struct box_job){.id = job->env.id,
                            .project = job->env.project,
                            .language = sub->language,
                            .profile = sub->profile,
                            .run = submission_limits(sub),
                            .compile = limits_compile(sub->language),
                            .code = sub->code,
                            .stdin_data = sub->stdin_data,
                            .files = files,
                            .file_count = sub->file_count,
                            .args = sub->args,
                            .arg_count = sub->arg_count};
}

/* Of the id in the launcher's logs the first fourteen bytes are the submission's. */
static struct uuid case_id(const struct job *job, size_t index)
{
    struct uuid id = job->env.id;
    id.bytes[14] ^= (uint8_t)((index + 1) >> 8);
    id.bytes[15] ^= (uint8_t)(index + 1);
    return id;
}

static int submit(struct execute *ex, const struct job *job, size_t index,
                  const struct box_job *spec, struct err *why)
{
    if (index == FLIGHT_ALONE)
        return box_submit(ex->box, spec, why);
    if (index == FLIGHT_BUILD)
        return box_build(ex->box, spec, why);
    return box_run_built(ex->box, &job->env.id, spec, why);
}

static enum started hand_over(struct execute *ex, struct job *job, size_t index,
                              const struct box_job *spec, struct err *err)
{
    struct err why = {0};
    bool noted = job->in_flight > 0;

    if (!noted && journal_started(ex->journal, &job->env.id, job->rules.suspect, err) < 0)
        return START_ERROR;
    if (submit(ex, job, index, spec, &why) < 0) {
        if (why.code != ERR_LAUNCHER && why.code != ERR_BUSY) {
            *err = why;
            err_wrap(err, "handing a job to the launcher");
            return START_ERROR;
        }
        if (!noted && journal_released(ex->journal, &job->env.id, err) < 0) /* it never ran */
            return START_ERROR;
        if (why.code == ERR_LAUNCHER && jobs_launcher_died(ex, &why, err) < 0)
            return START_ERROR;
        return START_NO_ROOM;
    }
    int64_t limit_ms = (int64_t)(spec->run.wall_ms + spec->compile.wall_ms);
    struct flight flight = {spec->id, job, index, jobs_now_ms(ex) + limit_ms + HUNG_MS};
    flights_add(ex, &flight);
    rules_started(&ex->turns, &job->rules, ex->waiting[LANE_BATCH] > 0);
    return START_DONE;
}

/* They outlive the opened value: the verdict repeats them. */
static void keep_labels(struct job *job, const struct submission *sub)
{
    arena_reset(&job->arena);
    job->label_count = 0;
    if (sub->label_count == 0)
        return;
    struct label *kept = arena_alloc(&job->arena, (sub->label_count + 1) * sizeof *kept);
    CHECK(kept != NULL);
    for (size_t i = 0; i < sub->label_count; i++) {
        kept[i] = (struct label){arena_copy(&job->arena, sub->labels[i].name),
                                 arena_copy(&job->arena, sub->labels[i].value)};
        CHECK(kept[i].name.data != NULL && kept[i].value.data != NULL);
    }
    job->labels = kept;
    job->label_count = sub->label_count;
}

/* ---- telling ---- */
static void tell(struct execute *ex, struct job *job)
{
    job->told = true;
    ex->told_ms = jobs_now_ms(ex);
    progress_started(&job->env, ex->env->best_effort);
}

static void began(struct execute *ex, struct job *job)
{
    int64_t now_ms = jobs_now_ms(ex);

    job->told = false;
    job->tell_ms = now_ms + TELL_AFTER_MS;
    if (!ex->told_ms || now_ms - ex->told_ms >= TELL_ALIVE_MS)
        tell(ex, job);
}

void start_tell(struct execute *ex)
{
    int64_t now_ms = jobs_now_ms(ex);

    for (size_t i = 0; i < ex->count; i++)
        if (ex->jobs[i]->running && !ex->jobs[i]->told && ex->jobs[i]->tell_ms <= now_ms)
            tell(ex, ex->jobs[i]);
}

int64_t start_tell_due_ms(const struct execute *ex)
{
    int64_t due = INT64_MAX;

    for (size_t i = 0; i < ex->count; i++)
        if (ex->jobs[i]->running && !ex->jobs[i]->told && ex->jobs[i]->tell_ms < due)
            due = ex->jobs[i]->tell_ms;
    return due;
}

static enum started hand_job_over(struct execute *ex, struct job *job, const struct submission *sub,
                                  struct err *err)
{
    struct box_file files[GIVEN_FILES_MAX];
    struct box_job spec = describe(job, sub, files);
    bool cases = sub->case_count > 0;
    enum started started = hand_over(ex, job, cases ? FLIGHT_BUILD : FLIGHT_ALONE, &spec, err);

    if (started != START_DONE)
        return started;
    job->running = true;
    ex->waiting[job->rules.lane]--;
    began(ex, job);
    if (cases) {
        job->cases = cases_new(sub, &ex->plain, &ex->arena);
        job->began_ns = ex->env->clock->wall_ns(ex->env->clock);
        ex->with_cases++;
    }
    return started;
}

/* A job that is closed instead has ended, whether with a verdict or without. */
static enum started closed(int result)
{
    return result < 0 ? START_ERROR : START_NOT_NOW;
}

static enum started open_and_start(struct execute *ex, struct job *job, struct err *err)
{
    struct submission sub = {0};

    buf_clear(&ex->plain);
    arena_reset(&ex->arena);
    int result =
        stage_open_value(ex->ks, &job->env, RECORD_submission, job->rec->value, &ex->plain, err);
    if (result < 0 && err->code == ERR_ERASED)
        return closed(jobs_erased_or(ex, job, -1, err));
    if (result == 0)
        result = submission_unpack(buf_span(&ex->plain), &ex->arena, &sub, err);
    if (result < 0 &&
        (err_class(err->code) == ERR_POISON || err_class(err->code) == ERR_REJECTED)) {
        log_event(LOG_WARN, "unreadable", kv_uuid("sub", &job->env.id), kv_err(err));
        return closed(jobs_close_by_cause(ex, job, CAUSE_ie_unreadable, err));
    }
    if (result < 0)
        return START_ERROR;
    keep_labels(job, &sub);
    if (!(ex->info.languages & (1U << sub.language)))
        return closed(jobs_close_by_cause(ex, job, CAUSE_ie_language_unavailable, err));
    job->has_cases = sub.case_count > 0;
    if (job->has_cases && ex->with_cases >= start_cases_max(ex))
        return START_NOT_NOW;
    return hand_job_over(ex, job, &sub, err);
}

/* The value is open; whether it may still be is asked before each (rule 19). */
static enum started start_case(struct execute *ex, struct job *job, struct err *err)
{
    const struct submission *sub = cases_submission(job->cases);
    size_t index = cases_next(job->cases);
    const struct test_case *one = &sub->cases[index];
    struct box_file files[GIVEN_FILES_MAX];
    struct box_job spec = describe(job, sub, files);
    struct key_id key = stage_key(&job->env);

    if (keystore_test(ex->ks, &key, &job->env.id, err) < 0) {
        if (err->code != ERR_ERASED)
            return START_ERROR;
        job->erased = true; /* what is in flight ends first */
        if (job->in_flight > 0)
            return START_NOT_NOW;
        struct err erased = *err;
        if (journal_ended(ex->journal, &job->env.id, err) < 0)
            return START_ERROR;
        *err = erased;
        return closed(jobs_erased_or(ex, job, -1, err));
    }
    spec.id = case_id(job, index);
    spec.stdin_data = one->stdin_data;
    spec.args = one->args;
    spec.arg_count = one->arg_count;
    spec.compile = (struct limits){0};
    enum started started = hand_over(ex, job, index, &spec, err);
    if (started == START_DONE)
        cases_started(job->cases, index);
    return started;
}

enum started start_next(struct execute *ex, struct job *job, struct err *err)
{
    return job->running ? start_case(ex, job, err) : open_and_start(ex, job, err);
}
