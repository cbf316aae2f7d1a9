/* The two moments at which a job meets the compile cache; see job_cache.h. The source is read from
 * the client's sealed memfd, so what is looked for is what would be compiled. */
#include "sandbox/job_cache.h"
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The source, and every given file by its path; 0: they are not there. */
static size_t list_sources(const struct job *job, const char *code, size_t len,
                           struct cache_source sources[1 + GIVEN_FILES_MAX])
{
    const struct given *given = &job->given;
    uint64_t behind = given_bytes(given);
    if (behind > len)
        return 0;
    const char *at = code + (len - behind);
    sources[0] = (struct cache_source){language_source(job->request.language),
                                       span_of(code, len - behind)};
    for (size_t i = 0; i < given->file_count; i++) {
        sources[1 + i] = (struct cache_source){given->files[i].path,
                                               span_of(at, (size_t)given->files[i].bytes)};
        at += given->files[i].bytes;
    }
    return 1 + given->file_count;
}

void job_recall(struct job *job, const struct harvest *what)
{
    const struct toolchain *toolchain = &job->host->toolchains[job->request.language];
    struct stat st;
    snprintf(job->ev.compile_cache, sizeof job->ev.compile_cache, "off");
    if (!job->host->cache || !toolchain->has_compile || job->box_mount >= 0 ||
        fstat(job->code, &st) != 0 || st.st_size > CACHE_KEY_BYTES)
        return;
    size_t len = (size_t)st.st_size;
    void *code = len ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, job->code, 0) : NULL;
    if (code == MAP_FAILED)
        return;
    struct cache_source sources[1 + GIVEN_FILES_MAX];
    size_t count = list_sources(job, code, len, sources);
    bool asked = count > 0 && cache_ask(job->host->cache, toolchain, &job->request.compile, sources,
                                        count, &job->ticket);
    if (len)
        munmap(code, len);
    if (!asked)
        return;
    job->box_mount = cache_take(job->host->cache, &job->ticket, what);
    snprintf(job->ev.compile_cache, sizeof job->ev.compile_cache, "%s",
             job->box_mount >= 0 ? "hit" : "miss");
}

void job_keep(struct job *job, const struct harvest *what, const struct harvested *took)
{
    if (job->ticket.key.len > 0 && job->ev.compile.seccomp_count == 0 &&
        !job->ev.collection_errors[0][0])
        cache_put(job->host->cache, &job->ticket, job->box_mount, what, took);
    cache_ticket_done(&job->ticket);
}
