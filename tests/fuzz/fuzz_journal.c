/* journal_open: whatever the file holds, execute starts; which jobs are suspects and how often each
 * died alone is what a plain reading of the lines says, and stays so when the file is read again.
 */
#include "consumers/execute_journal.h"
#include "tests/fuzz/fuzz.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define JOBS_MAX 128 /* of one input: a line that names one has 39 bytes */

struct job {
    struct uuid id;
    bool known, running, alone, suspect;
    unsigned deaths;
};
struct reading {
    struct job jobs[JOBS_MAX];
    size_t count;
};

static struct job *job_of(struct reading *all, struct span text)
{
    struct uuid id;
    if (text.len != 36 || uuid_parse(text, &id))
        return NULL;
    for (size_t i = 0; i < all->count; i++)
        if (uuid_eq(&all->jobs[i].id, &id))
            return &all->jobs[i];
    CHECK(all->count < JOBS_MAX);
    all->jobs[all->count] = (struct job){.id = id};
    return &all->jobs[all->count++];
}

/* One that ran alone as a suspect is counted; whoever ran is a suspect. */
static void die(struct reading *all)
{
    size_t running = 0, alone = 0;
    for (size_t i = 0; i < all->count; i++) {
        running += all->jobs[i].running;
        alone += all->jobs[i].running && all->jobs[i].alone;
    }
    for (size_t i = 0; i < all->count; i++) {
        struct job *job = &all->jobs[i];
        if (!job->running)
            continue;
        job->deaths += running == 1 && alone == 1;
        job->suspect = true;
        job->running = job->alone = false;
    }
}

static void read_line(struct reading *all, const char *line, size_t len)
{
    struct job *job;
    if (len == 1 && line[0] == 'D')
        die(all);
    if (len == 40 && line[0] == 'C' && line[1] == ' ' && line[3] == ' ' &&
        strspn(line + 2, "0123456789") == 1 && (job = job_of(all, span_of(line + 4, 36)))) {
        job->known = job->suspect = true;
        job->deaths = (unsigned)(line[2] - '0');
    }
    if (len != 38 || line[1] != ' ' || !memchr("SAER", line[0], 4) ||
        !(job = job_of(all, span_of(line + 2, 36))))
        return;
    if (line[0] == 'S' || line[0] == 'A') {
        job->known = job->running = true;
        job->alone = line[0] == 'A';
    } else if (line[0] == 'E' || !job->suspect) {
        *job = (struct job){.id = job->id};
    } else {
        job->running = job->alone = false;
    }
}

static void read_lines(struct reading *all, const char *data, size_t size)
{
    for (const char *end; (end = memchr(data, '\n', size)); data = end + 1) {
        read_line(all, data, (size_t)(end - data));
        size -= (size_t)(end - data) + 1;
    }
    die(all); /* the process that wrote it */
}

static void compare(const char *path, const struct reading *all)
{
    struct journal *journal;
    struct err err;
    CHECK(journal_open(path, &journal, &err) == 0);
    for (size_t i = 0; i < all->count; i++) {
        const struct job *job = &all->jobs[i];
        unsigned deaths;
        CHECK(journal_suspect(journal, &job->id, &deaths) == job->suspect);
        CHECK(deaths == job->deaths || (deaths == 9 && job->deaths > 9));
    }
    journal_close(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    static struct reading all;
    if (!path[0])
        snprintf(path, sizeof path, "/dev/shm/rustbox-fuzz-journal-%d", (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    all.count = 0;
    read_lines(&all, (const char *)data, size);
    compare(path, &all);
    compare(path, &all); /* what the first wrote */
    unlink(path);
    return 0;
}
