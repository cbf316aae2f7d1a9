/* The steps of a job. The program's input and source are copied out of the client's memfds, so the
 * sandbox never holds an object that somebody outside can change. */
#include "sandbox/job.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include "sandbox/input.h"
#include "sandbox/job_cache.h"
#include "sandbox/mounts.h"
#include "sandbox/phase_impl.h"
#include "sandbox/shelf.h"
#include "sandbox/template.h"
#include "sandbox/warm.h"
#include "schemas/verdict_rules.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE_BYTES 4096
#define SLACK_BYTES (64 * 1024) /* a tmpfs rounds up to pages and has its own root */

void job_refuse(struct job *job, const char *why)
{
    job->ev.setup_ok = false;
    if (!job->ev.setup_error[0])
        snprintf(job->ev.setup_error, sizeof job->ev.setup_error, "%s", why);
}

static void give_up(struct job *job, const char *text)
{
    job_refuse(job, text);
    job->ev.ended_wall_ns = clock_system.wall_ns(&clock_system);
    job->done(job);
}

static int memfd_size(int fd, uint64_t *out, struct err *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_WRITE) || !(seals & F_SEAL_SHRINK) || !(seals & F_SEAL_GROW))
        return err_set(err, ERR_INVALID, "a job's descriptor is no sealed memfd");
    if (fstat(fd, &st) != 0)
        return err_sys(err, ERR_SYSTEM, "size of a job's memfd");
    *out = (uint64_t)st.st_size;
    /* Copying stops the loop for all jobs, and the copy is the launcher's memory. */
    if (*out > INPUT_BYTES)
        return err_set(err, ERR_INVALID, "a job's code or stdin is over %llu bytes",
                       (unsigned long long)INPUT_BYTES);
    return 0;
}

/* The client's stdin into the launcher's own file. */
static int fill_input(const struct job *job, struct err *err)
{
    uint64_t size = 0;
    if (memfd_size(job->input, &size, err) != 0 ||
        (size > 0 && input_fill(job->stdin_file, job->input, size, err) != 0))
        return -1;
    return input_seal(job->stdin_file, err);
}

/* A fresh tmpfs with the source and the given files. */
static int make_source(const struct job *job, struct err *err)
{
    const struct given *given = &job->given;
    uint64_t size = 0, behind = given_bytes(given);
    if (memfd_size(job->code, &size, err) != 0)
        return -1;
    if (behind > GIVEN_FILES_BYTES || behind > size)
        return err_set(err, ERR_INVALID, "a job's files are over %d bytes, or not there",
                       GIVEN_FILES_BYTES);
    AUTO_FD int mount_fd = mounts_tmpfs(size + SLACK_BYTES + given->file_count * PAGE_BYTES,
                                        16 + given->file_count * FILE_DEPTH_MAX, 0755, err);
    if (mount_fd < 0 ||
        mounts_copy_part(mount_fd, language_source(job->request.language), job->code, 0,
                         size - behind, 0444, err) != 0 ||
        given_put(mount_fd, given, job->code, size - behind, err) != 0 ||
        mounts_seal(mount_fd, false, err) != 0)
        return -1;
    return take_fd(&mount_fd);
}

static int open_source(struct job *job, struct err *err)
{
    if (job->box_mount >= 0 || job->shelf)
        return 0;
    job->source_mount = make_source(job, err);
    return job->source_mount >= 0 ? 0 : -1;
}

/* Its numbers are kept; the phase is gone. */
static void drop_phase(struct job *job)
{
    if (!job->phase)
        return;
    memcpy(job->at, job->phase->at, sizeof job->at);
    job->ev.template_generation = job->phase->template_generation;
    job->ev.template_jobs = job->phase->template_jobs;
    job->ev.sandbox_runs = job->phase->runs;
    phase_release(job->phase);
    free(job->phase);
    job->phase = NULL;
}

/* What the run finds at /box, if it was built by another job. */
static int job_box(struct job *job, struct phase_start *start, struct err *err)
{
    if (job->shelf && job->box_mount < 0 && (job->box_mount = shelf_box(job->shelf, err)) < 0)
        return -1;
    if (job->shelf)
        start->box_mount = job->box_mount;
    return 0;
}

static int start_cold(struct job *job, struct phase_start *start, struct err *err)
{
    AUTO_FD int input = -1;
    if (!job->compiling) {
        job->stdin_file = input_new(err);
        if (job->stdin_file < 0 || fill_input(job, err) != 0 ||
            (input = input_open(job->stdin_file, err)) < 0)
            return -1;
        start->stdin_fd = input;
    }
    if (start->shelf && !job->afresh)
        start->idle = shelf_take(start->shelf, &start->limits);
    if (start->idle && phase_start(job->phase, start, err) == 0)
        return 0;
    if (start->idle)
        log_event(LOG_WARN, "sandbox_did_not_stay", kv_uuid("id", &job->request.id), kv_err(err));
    start->idle = NULL;
    return job_box(job, start, err) == 0 ? phase_start(job->phase, start, err) : -1;
}

static void set_tier(struct job *job, const char *made)
{
    bool forked = job->phase->spec.template;
    snprintf(job->ev.tier, sizeof job->ev.tier, "%s", forked ? "template" : made);
}

/* The sandbox has its stdin open already, and it is empty. */
static void start_warm(struct job *job, struct phase_start *start)
{
    struct err err;
    bool filled = fill_input(job, &err) == 0 && job_box(job, start, &err) == 0;
    set_tier(job, "warm");
    phase_give(job->phase, start, &job->ev, &job->ev.run);
    if (!filled)
        phase_fail(job->phase, "%s", err.message);
}

static void on_phase_done(struct phase *phase);

static void start_phase(struct job *job, bool compile)
{
    struct err err;
    const struct toolchain *toolchain = &job->host->toolchains[job->request.language];
    job->compiling = compile;
    struct phase_start start = {
        .language = job->request.language,
        .compile = compile,
        .limits = compile ? job->request.compile : job->request.run,
        .stdin_fd = job->host->null_fd,
        .box_mount = job->box_mount >= 0 ? job->box_mount : job->source_mount,
        .files = {&job->files[PIPE_OUT], &job->files[PIPE_ERR]},
        .merge = compile,
        .shelf = job->request.high_assurance ? NULL : job->shelf,
        .given = compile ? NULL : &job->given,
        .words = compile ? job->words : job->given.args,
        .words_len =
            compile ? given_compile_words(&job->given, toolchain, job->words) : job->given.args_len,
    };
    struct phase *warm = NULL;
    /* A fork knows no arguments, and modules of its own must come before hidden ones. */
    bool plain = job->given.args_len == 0 && job->given.file_count == 0;
    bool shared = !compile && !job->request.high_assurance &&
                  (plain || start.language != LANGUAGE_python || !job->host->templates);
    if (shared)
        start.template = !job->refused && template_ready(job->host, start.language, &start.limits);
    if (shared && (!job->shelf || shelf_first(job->shelf)))
        warm = warm_take(job->host, job->request.language, &start.limits, &job->stdin_file);
    job->phase = warm ? warm : calloc(1, sizeof *job->phase);
    if (!job->phase)
        return give_up(job, "no memory for a sandbox");
    job->phase->owner = job;
    job->phase->done = on_phase_done;
    if (warm)
        return start_warm(job, &start);
    job->phase->host = job->host;
    job->phase->ev = &job->ev;
    job->phase->pe = compile ? &job->ev.compile : &job->ev.run;
    job->phase->tmp_mount = -1;
    job->phase->spec.template = start.template;
    set_tier(job, "cold");
    if (start_cold(job, &start, &err) != 0) {
        drop_phase(job);
        give_up(job, err.message);
    }
}

static void end(struct job *job)
{
    job->ev.ended_wall_ns = clock_system.wall_ns(&clock_system);
    job->done(job);
}

static void finish(struct job *job)
{
    struct phase_evidence *pe = job->phase->pe;
    drop_phase(job);
    if (job->cancelled && (!pe->ran || (job->compiling && verdict_phase_passed(pe))))
        pe->actions |= ACTION_KILL_CANCEL; /* no phase was there to be killed */
    end(job);
}

static struct harvest output_of(const struct job *job)
{
    const struct toolchain *toolchain = &job->host->toolchains[job->request.language];
    struct stat st;
    uint64_t behind = given_bytes(&job->given);
    bool there = fstat(job->code, &st) == 0 && (uint64_t)st.st_size >= behind;
    return (struct harvest){.name = toolchain->output,
                            .directory = toolchain->output_is_directory,
                            .max_bytes = job->request.compile.file_bytes,
                            .given = &job->given,
                            .from = job->code,
                            .offset = there ? (uint64_t)st.st_size - behind : 0};
}

/* Compiled well: the output becomes the run's /box, and the compiler's text is not the program's.
 */
static void carry_over(struct job *job)
{
    struct err refused, err;
    struct harvest what = output_of(job);
    struct harvested took = {0};
    job->box_mount = harvest(job->phase->tmp_mount, &what, &took, &refused, &err);
    drop_phase(job);
    if (job->box_mount < 0)
        return give_up(job, err.message);
    if (refused.code != ERR_NONE)
        phase_note(&job->ev, "%s", refused.message);
    else
        job_keep(job, &what, &took);
    cleanup_fd(&job->files[PIPE_ERR]);
    job->files[PIPE_ERR] = -1;
    if (job->build)
        return end(job);
    start_phase(job, false);
}

/* Nothing of the job ran. */
static void again(struct job *job, const char *event)
{
    log_event(LOG_WARN, event, kv_uuid("id", &job->request.id), kv("why", job->ev.setup_error));
    drop_phase(job);
    cleanup_fd(&job->stdin_file);
    job->stdin_file = -1;
    job->ev.setup_ok = true;
    job->ev.setup_error[0] = '\0';
    job->ev.run = (struct phase_evidence){0};
    start_phase(job, false);
}

static void on_phase_done(struct phase *phase)
{
    struct job *job = phase->owner;
    struct phase_evidence *pe = phase->pe;
    bool unready = !job->ev.setup_ok && !pe->ran && !job->cancelled;
    /* The sandbox's fault that stayed, or the template's, and not the job's: again without it. */
    if (unready && phase->runs > 0) {
        job->afresh = true;
        return again(job, "sandbox_did_not_stay");
    }
    if (unready && phase->spec.template && !phase->payload) {
        job->refused = true;
        template_blame(job->host);
        return again(job, "fork_failed");
    }
    if (!job->compiling || !job->ev.setup_ok || job->cancelled || !verdict_phase_passed(pe))
        return finish(job);
    carry_over(job);
}

void job_start(struct job *job)
{
    struct err err;
    struct host *host = job->host;
    const struct toolchain *toolchain = &host->toolchains[job->request.language];
    bool refused = job->ev.setup_error[0] != '\0';
    job->ev.setup_ok = !refused;
    job->ev.permissive = host->config.permissive;
    job->ev.started_wall_ns = clock_system.wall_ns(&clock_system);
    snprintf(job->ev.toolchain, sizeof job->ev.toolchain, "%s", toolchain->version);
    snprintf(job->ev.tier, sizeof job->ev.tier, "cold");
    snprintf(job->ev.cgroup_backend, sizeof job->ev.cgroup_backend, "%s",
             host->cgroups.backend->name);
    if (refused || !toolchain->available)
        return give_up(job, toolchain->why_missing);
    struct harvest what = output_of(job);
    job_recall(job, &what);
    if (open_source(job, &err) != 0)
        return give_up(job, err.message);
    if (job->build && !toolchain->has_compile)
        job->box_mount = take_fd(&job->source_mount);
    if (job->build && job->box_mount >= 0)
        return end(job);
    start_phase(job, toolchain->has_compile && job->box_mount < 0 && !job->shelf);
}

void job_cancel(struct job *job)
{
    job->cancelled = true;
    if (job->phase)
        phase_kill(job->phase, ACTION_KILL_CANCEL);
}

void job_never_ran(struct job *job)
{
    job->cancelled = true;
    job->ev.setup_ok = true; /* no set-up failed */
    snprintf(job->ev.compile_cache, sizeof job->ev.compile_cache, "off");
    job->ev.run.actions = ACTION_KILL_CANCEL;
    job->ev.started_wall_ns = job->ev.ended_wall_ns = clock_system.wall_ns(&clock_system);
}

static void close_all(int *const *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cleanup_fd(fds[i]);
        *fds[i] = -1;
    }
}

void job_release_inputs(struct job *job)
{
    int *fds[] = {&job->code, &job->input, &job->stdin_file, &job->source_mount, &job->box_mount};
    close_all(fds, COUNT_OF(fds));
    shelf_drop(job->shelf);
    job->shelf = NULL;
    cache_ticket_done(&job->ticket);
}

void job_release(struct job *job)
{
    int *fds[] = {&job->files[0], &job->files[1]};
    job_release_inputs(job);
    close_all(fds, COUNT_OF(fds));
}
