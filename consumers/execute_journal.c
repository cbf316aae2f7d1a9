/* See execute_journal.h. Lines: "S id" started, "A id" started alone as a suspect, "E id" ended, "R
 * id" released, "D" a death, "C n id" a suspect with n deaths (written by the compaction). A torn
 * last line is ignored. */
#include "consumers/execute_journal.h"
#include "consumers/execute_rules.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define COMPACT_BYTES (1024 * 1024)
#define ENTRIES_MAX 4096 /* suspects that never come back are forgotten, the oldest first */
#define LINE_BYTES 64

struct entry {
    struct uuid id;
    bool running, alone, suspect;
    unsigned deaths;
};

struct journal {
    char path[512];
    int fd;
    size_t bytes, count;
    struct entry entries[ENTRIES_MAX];
};

static struct entry *find(const struct journal *journal, const struct uuid *id)
{
    for (size_t i = journal->count; i-- > 0;)
        if (uuid_eq(&journal->entries[i].id, id))
            return (struct entry *)&journal->entries[i];
    return NULL;
}

static void forget(struct journal *journal, struct entry *entry)
{
    size_t at = (size_t)(entry - journal->entries);

    memmove(entry, entry + 1, (journal->count - at - 1) * sizeof *entry);
    journal->count--;
}

/* The oldest that does not run; only a damaged file has so many that run. */
static struct entry *oldest(struct journal *journal)
{
    for (size_t i = 0; i < journal->count; i++)
        if (!journal->entries[i].running)
            return &journal->entries[i];
    return &journal->entries[0];
}

static struct entry *obtain(struct journal *journal, const struct uuid *id)
{
    struct entry *entry = find(journal, id);

    if (entry)
        return entry;
    if (journal->count == ENTRIES_MAX)
        forget(journal, oldest(journal));
    entry = &journal->entries[journal->count++];
    *entry = (struct entry){.id = *id};
    return entry;
}

static void death(struct journal *journal)
{
    struct rules_running running = {0, false};

    for (size_t i = 0; i < journal->count; i++) {
        running.count += journal->entries[i].running;
        running.suspect |= journal->entries[i].running && journal->entries[i].alone;
    }
    for (size_t i = 0; i < journal->count; i++) {
        struct entry *entry = &journal->entries[i];
        if (!entry->running)
            continue;
        entry->deaths += rules_death_counts(running);
        entry->suspect = true;
        entry->running = entry->alone = false;
    }
}

static void apply(struct journal *journal, char what, const struct uuid *id, unsigned deaths)
{
    struct entry *entry;

    switch (what) {
    case 'S':
    case 'A':
        entry = obtain(journal, id);
        entry->running = true;
        entry->alone = what == 'A';
        break;
    case 'E':
        entry = find(journal, id);
        if (entry)
            forget(journal, entry);
        break;
    case 'R':
        entry = find(journal, id);
        if (entry && !entry->suspect)
            forget(journal, entry);
        else if (entry)
            entry->running = entry->alone = false;
        break;
    case 'C':
        entry = obtain(journal, id);
        entry->suspect = true;
        entry->deaths = deaths;
        break;
    case 'D':
        death(journal);
        break;
    default:
        break;
    }
}

/* A line that is not ours is passed over: the journal can only make a job run once more. */
static void replay_line(struct journal *journal, const char *line, size_t len)
{
    struct uuid id = {0};
    unsigned deaths = 0;

    if (len == 1 && line[0] == 'D')
        apply(journal, 'D', &id, 0);
    else if (len == 38 && memchr("SAER", line[0], 4) && line[1] == ' ' &&
             uuid_parse(span_of(line + 2, 36), &id) == 0)
        apply(journal, line[0], &id, 0);
    else if (len == 40 && line[0] == 'C' && line[1] == ' ' && line[2] >= '0' && line[2] <= '9' &&
             line[3] == ' ' && uuid_parse(span_of(line + 4, 36), &id) == 0) {
        deaths = (unsigned)(line[2] - '0');
        apply(journal, 'C', &id, deaths);
    }
}

static int replay(struct journal *journal, struct err *err)
{
    AUTO_FREE char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    FILE *file = fopen(journal->path, "re");

    if (!file)
        return errno == ENOENT ? 0 : err_sys(err, ERR_SYSTEM, "journal %s", journal->path);
    while ((len = getline(&line, &cap, file)) > 0)
        if (line[len - 1] == '\n')
            replay_line(journal, line, (size_t)len - 1);
    int failed = ferror(file) ? err_sys(err, ERR_SYSTEM, "reading %s", journal->path) : 0;
    fclose(file);
    return failed;
}

/* A line that went out in part is taken back: it would swallow the next one. */
static int put(struct journal *journal, const char *line, size_t len, struct err *err)
{
    ssize_t written = write(journal->fd, line, len);

    if (written == (ssize_t)len) {
        journal->bytes += len;
        return 0;
    }
    if (written >= 0) {
        (void)!ftruncate(journal->fd, (off_t)journal->bytes);
        errno = ENOSPC;
    }
    return err_sys(err, ERR_SYSTEM, "writing to %s", journal->path);
}

static size_t render(char line[LINE_BYTES], char what, const struct uuid *id)
{
    line[0] = what;
    line[1] = ' ';
    uuid_format(id, line + 2);
    line[38] = '\n';
    return 39;
}

static int put_entry(struct journal *journal, const struct entry *entry, struct err *err)
{
    char line[LINE_BYTES], id[UUID_TEXT];
    int len;

    uuid_format(&entry->id, id);
    if (entry->suspect) {
        len = snprintf(line, sizeof line, "C %u %s\n", entry->deaths > 9 ? 9 : entry->deaths, id);
        if (put(journal, line, (size_t)len, err) < 0)
            return -1;
    }
    if (!entry->running)
        return 0;
    return put(journal, line, render(line, entry->alone ? 'A' : 'S', &entry->id), err);
}

/* A new file with what still matters, then the name: a kill in between leaves the old one. */
static int compact(struct journal *journal, struct err *err)
{
    char next[sizeof journal->path + 8];
    int old = journal->fd, result = 0;
    size_t old_bytes = journal->bytes;

    snprintf(next, sizeof next, "%s.new", journal->path);
    journal->fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (journal->fd < 0) {
        journal->fd = old;
        return err_sys(err, ERR_SYSTEM, "journal %s: cannot be written; see [execute] journal_dir",
                       next);
    }
    journal->bytes = 0;
    for (size_t i = 0; i < journal->count && result == 0; i++)
        result = put_entry(journal, &journal->entries[i], err);
    if (result == 0 && rename(next, journal->path) < 0)
        result = err_sys(err, ERR_SYSTEM, "rename to %s", journal->path);
    if (result < 0) {
        close(journal->fd);
        journal->fd = old;
        journal->bytes = old_bytes;
    } else if (old >= 0)
        close(old);
    return result;
}

int journal_open(const char *path, struct journal **out, struct err *err)
{
    struct journal *journal = calloc(1, sizeof *journal);

    CHECK(journal != NULL);
    journal->fd = -1;
    if (span_copy(span_text(path), journal->path, sizeof journal->path) != 0) {
        free(journal);
        return err_set(err, ERR_CONFIG, "[execute] journal_dir is too long");
    }
    if (replay(journal, err) == 0) {
        death(journal); /* of the process that wrote it */
        if (compact(journal, err) == 0) {
            *out = journal;
            return 0;
        }
    }
    journal_close(journal);
    return -1;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal);
}

static int note(struct journal *journal, char what, const struct uuid *id, struct err *err)
{
    char line[LINE_BYTES];

    apply(journal, what, id, 0);
    if (journal->bytes > COMPACT_BYTES)
        return compact(journal, err);
    return put(journal, line, render(line, what, id), err);
}

int journal_started(struct journal *journal, const struct uuid *id, bool alone, struct err *err)
{
    return note(journal, alone ? 'A' : 'S', id, err);
}

int journal_ended(struct journal *journal, const struct uuid *id, struct err *err)
{
    return note(journal, 'E', id, err);
}

int journal_released(struct journal *journal, const struct uuid *id, struct err *err)
{
    return note(journal, 'R', id, err);
}

int journal_death(struct journal *journal, struct err *err)
{
    death(journal);
    return put(journal, "D\n", 2, err);
}

bool journal_suspect(const struct journal *journal, const struct uuid *id, unsigned *deaths)
{
    const struct entry *entry = find(journal, id);

    *deaths = entry ? entry->deaths : 0;
    return entry && entry->suspect;
}
