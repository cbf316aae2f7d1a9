/* The box in memory; see box_memory.h. */
#include "tests/support/box_memory.h"
#include "lib/base/strict.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define JOBS 64
#define STARTS 4096
struct running {
    struct box_job job;
    char code[64];
    int exit_code;
    bool used, ended, build, cancelled;
};
struct box {
    int fd;
};
static struct running jobs[JOBS];
static struct box *current;
static uint32_t slots, languages;
static bool away, dead;
static char starts[STARTS][64];
static size_t start_count, most_running;

/* What is built is remembered by its code, which its runs then have; the build itself ends at once
 * unless it is told not to. */
#define BUILT 64
static struct {
    struct uuid id;
    char code[64];
    bool used;
} built[BUILT];

void box_memory_reset(uint32_t count)
{
    memset(jobs, 0, sizeof jobs);
    slots = count;
    languages = (1U << LANGUAGE_COUNT) - 1;
    away = dead = false;
    start_count = most_running = 0;
}

void box_memory_away(bool is_away)
{
    away = is_away;
}

void box_memory_languages(uint32_t bits)
{
    languages = bits;
}

size_t box_memory_running(void)
{
    size_t count = 0;

    for (size_t i = 0; i < JOBS; i++)
        count += jobs[i].used && !jobs[i].ended;
    return count;
}

static void wake(void)
{
    uint64_t one = 1;
    if (current)
        (void)!write(current->fd, &one, sizeof one);
}

static struct running *find(const char *text)
{
    for (size_t i = 0; i < JOBS; i++)
        if (jobs[i].used && !jobs[i].ended && strncmp(jobs[i].code, text, strlen(text)) == 0)
            return &jobs[i];
    return NULL;
}

const struct box_job *box_memory_find(const char *text)
{
    struct running *job = find(text);

    return job ? &job->job : NULL;
}

bool box_memory_finish(const char *text, int exit_code)
{
    struct running *job = find(text);

    if (!job)
        return false;
    job->ended = true;
    job->exit_code = exit_code;
    wake();
    return true;
}

void box_memory_finish_all(void)
{
    while (box_memory_finish("", 0))
        ;
}

void box_memory_die(void)
{
    memset(jobs, 0, sizeof jobs);
    dead = true;
    wake();
}

size_t box_memory_started(const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < start_count; i++)
        count += strcmp(starts[i], text) == 0;
    return count;
}

size_t box_memory_most_running(void)
{
    return most_running;
}

int box_open(const char *socket_path, int timeout_ms, struct box **out, struct box_info *info,
             struct err *err)
{
    struct box *box;

    (void)socket_path, (void)timeout_ms;
    if (away)
        return err_set(err, ERR_LAUNCHER, "the launcher is away on demand");
    box = calloc(1, sizeof *box);
    CHECK(box != NULL);
    box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *info = (struct box_info){.slots = slots, .languages = languages};
    dead = false;
    *out = current = box;
    return 0;
}

void box_close(struct box *box)
{
    if (!box)
        return;
    close(box->fd);
    free(box);
    current = NULL;
    memset(built, 0, sizeof built);
    memset(jobs, 0, sizeof jobs); /* the launcher kills what its client left */
}

int box_fd(const struct box *box)
{
    return box->fd;
}

int box_submit(struct box *box, const struct box_job *job, struct err *err)
{
    (void)box;
    if (dead)
        return err_set(err, ERR_LAUNCHER, "the connection ended");
    if (box_memory_running() >= slots)
        return err_set(err, ERR_BUSY, "no slot");
    for (size_t i = 0; i < JOBS; i++)
        CHECK(!jobs[i].used || !uuid_eq(&jobs[i].job.id, &job->id));
    for (size_t i = 0; i < JOBS; i++)
        if (!jobs[i].used) {
            size_t len = job->code.len < 63 ? job->code.len : 63;
            jobs[i] = (struct running){.job = *job, .used = true};
            memcpy(jobs[i].code, job->code.data, len);
            CHECK(start_count < STARTS);
            memcpy(starts[start_count++], jobs[i].code, sizeof jobs[i].code);
            if (box_memory_running() > most_running)
                most_running = box_memory_running();
            return 0;
        }
    return err_set(err, ERR_BUSY, "no slot");
}

size_t box_memory_built(void)
{
    size_t count = 0;

    for (size_t i = 0; i < BUILT; i++)
        count += built[i].used;
    return count;
}

int box_build(struct box *box, const struct box_job *job, struct err *err)
{
    if (box_submit(box, job, err) < 0)
        return -1;
    for (size_t i = 0; i < JOBS; i++)
        if (jobs[i].used && uuid_eq(&jobs[i].job.id, &job->id))
            jobs[i].build = true;
    for (size_t i = 0; i < BUILT; i++)
        if (!built[i].used) {
            size_t len = job->code.len < 63 ? job->code.len : 63;
            built[i].used = true;
            built[i].id = job->id;
            memset(built[i].code, 0, sizeof built[i].code);
            memcpy(built[i].code, job->code.data, len);
            return 0;
        }
    CHECK(!"room for one more build");
    return -1;
}

bool box_built(enum language language, const struct evidence *ev)
{
    (void)language;
    return ev->setup_ok && ev->run.exit_code == 0;
}

int box_run_built(struct box *box, const struct uuid *id, const struct box_job *job,
                  struct err *err)
{
    struct box_job run = *job;

    for (size_t i = 0; i < BUILT; i++)
        if (built[i].used && uuid_eq(&built[i].id, id)) {
            char code[64];
            snprintf(code, sizeof code, "%.40s/%.*s", built[i].code, (int)job->stdin_data.len,
                     (const char *)job->stdin_data.data);
            run.code = span_text(code);
            return box_submit(box, &run, err);
        }
    return err_set(err, ERR_LAUNCHER, "nothing of that id was built");
}

int box_release(struct box *box, const struct uuid *id, struct err *err)
{
    (void)box;
    if (dead)
        return err_set(err, ERR_LAUNCHER, "the connection ended");
    for (size_t i = 0; i < BUILT; i++)
        built[i].used &= !uuid_eq(&built[i].id, id);
    return 0;
}

int box_cancel(struct box *box, const struct uuid *id, struct err *err)
{
    (void)box, (void)err;
    for (size_t i = 0; i < JOBS; i++)
        if (jobs[i].used && uuid_eq(&jobs[i].job.id, id))
            jobs[i].ended = jobs[i].cancelled = true;
    wake();
    return 0;
}

int box_forget(struct box *box, const struct uuid *project, int timeout_ms, uint64_t *entries,
               struct err *err)
{
    (void)box, (void)project, (void)timeout_ms;
    *entries = 0; /* nothing is kept here */
    return dead ? err_set(err, ERR_LAUNCHER, "the connection ended") : 0;
}

int box_next(struct box *box, struct box_report *out, struct err *err)
{
    uint64_t count;

    if (dead)
        return err_set(err, ERR_LAUNCHER, "the connection ended");
    for (size_t i = 0; i < JOBS; i++)
        if (jobs[i].used && jobs[i].ended) {
            memset(out, 0, sizeof *out);
            out->id = jobs[i].job.id;
            out->evidence.setup_ok = true;
            out->evidence.started_wall_ns = 1;
            out->evidence.run = (struct phase_evidence){.ran = true,
                                                        .reported = true,
                                                        .exited = true,
                                                        .exit_code = jobs[i].exit_code,
                                                        .limits = jobs[i].job.run,
                                                        .pids_peak = 1,
                                                        .pids_max = 10,
                                                        .group_empty = true};
            if (jobs[i].build) /* a compile alone */
                out->evidence.compile = out->evidence.run;
            out->evidence.run.ran = !jobs[i].build;
            if (jobs[i].cancelled)
                out->evidence.run.actions = ACTION_KILL_CANCEL;
            out->out = span_text(jobs[i].code);
            jobs[i].used = false;
            return 1;
        }
    (void)!read(box->fd, &count, sizeof count);
    return 0;
}

void box_report_done(struct box_report *report)
{
    (void)report;
}
