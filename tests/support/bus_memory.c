/* The bus in memory; see bus_memory.h. */
#include "lib/base/strict.h"
#include "tests/support/bus_memory_impl.h"
#include <stdlib.h>
#include <unistd.h>

struct log logs[TOPIC_COUNT][PARTITIONS];
static uint64_t written;
bool commits_held;
struct failure deliveries, polls, commits, topics_fail;
bool held;
struct consumer *current, *tails[TAILS]; /* the group's, and those without a group */
struct producer *current_producer;
size_t open_records;

int fails(struct failure *failure, const char *what, struct err *err)
{
    if (failure->count == 0)
        return 0;
    failure->count--;
    return err_set(err, failure->code, "%s fails on demand", what);
}

void wake(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

void calm(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
}

static struct span own(struct span bytes)
{
    char *copy = malloc(bytes.len + 1);

    CHECK(copy != NULL);
    if (bytes.len > 0)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return span_of(copy, bytes.len);
}

static void free_stored(struct stored *stored)
{
    size_t n =
        stored->rec.header_count > BUS_HEADERS_MAX ? BUS_HEADERS_MAX : stored->rec.header_count;

    for (size_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)stored->rec.headers[i].name);
        free((void *)(uintptr_t)stored->rec.headers[i].value.data);
    }
    free((void *)(uintptr_t)stored->rec.key.data);
    free((void *)(uintptr_t)stored->rec.value.data);
    free(stored);
}

void bus_memory_reset(void)
{
    for (int t = 0; t < TOPIC_COUNT; t++)
        for (int p = 0; p < PARTITIONS; p++) {
            for (size_t i = 0; i < logs[t][p].count; i++)
                free_stored(logs[t][p].records[i]);
            free(logs[t][p].records);
            logs[t][p] = (struct log){.committed = -1};
        }
    written = 0;
    commits_held = false;
    deliveries = polls = commits = topics_fail = (struct failure){0};
    held = false;
    open_records = 0;
}

int64_t bus_memory_append(enum topic topic, int32_t partition, struct span key,
                          const struct bus_header *headers, size_t header_count, struct span value)
{
    struct log *log = &logs[topic][partition];
    struct stored *stored = calloc(1, sizeof *stored);

    CHECK(stored != NULL && partition < topic_spec(topic)->partitions);
    stored->rec = (struct record){
        .topic = topic_spec(topic)->name,
        .partition = partition,
        .offset = (int64_t)log->count,
        .timestamp_ms = clock_wall_ms(&clock_system),
        .key = own(key),
        .value = own(value),
        .header_count = header_count > BUS_HEADERS_MAX ? BUS_HEADERS_MAX + 1 : header_count};
    for (size_t i = 0; i < header_count && i < BUS_HEADERS_MAX; i++)
        stored->rec.headers[i] =
            (struct bus_header){own(span_text(headers[i].name)).data, own(headers[i].value)};
    stored->written = written++;
    log->records = realloc(log->records, (log->count + 1) * sizeof *log->records);
    CHECK(log->records != NULL);
    log->records[log->count++] = stored;
    if (current)
        wake(current->fd);
    for (size_t i = 0; i < TAILS; i++)
        if (tails[i])
            wake(tails[i]->fd);
    return stored->rec.offset;
}

const struct record *bus_memory_get(enum topic topic, size_t index)
{
    size_t at[PARTITIONS] = {0};

    for (;;) {
        struct stored *first = NULL;
        for (int p = 0; p < PARTITIONS; p++)
            if (at[p] < logs[topic][p].count &&
                (!first || logs[topic][p].records[at[p]]->written < first->written))
                first = logs[topic][p].records[at[p]];
        if (!first)
            return NULL;
        at[first->rec.partition]++;
        if (!record_is_probe(&first->rec) && index-- == 0)
            return &first->rec;
    }
}

size_t bus_memory_count(enum topic topic)
{
    size_t count = 0;

    while (bus_memory_get(topic, count))
        count++;
    return count;
}

int64_t bus_memory_committed(enum topic topic, int32_t partition)
{
    return logs[topic][partition].committed;
}

void bus_memory_fail_deliveries(size_t count, enum err_code code)
{
    deliveries = (struct failure){count, code};
}

void bus_memory_fail_polls(size_t count, enum err_code code)
{
    polls = (struct failure){count, code};
    if (current)
        wake(current->fd);
}

void bus_memory_hold_commits(bool hold)
{
    commits_held = hold;
}

void bus_memory_fail_commits(size_t count, enum err_code code)
{
    commits = (struct failure){count, code};
}

void bus_memory_fail_topics(size_t count, enum err_code code)
{
    topics_fail = (struct failure){count, code};
}

void bus_memory_hold_acks(bool hold)
{
    held = hold;
    if (current_producer)
        wake(current_producer->fd);
}

void bus_memory_rebalance(bool lost)
{
    current->pending = REVOKE;
    current->lost = lost;
    wake(current->fd);
}

size_t bus_memory_paused(enum topic topic)
{
    size_t count = 0;

    for (int p = 0; p < PARTITIONS; p++)
        count += logs[topic][p].paused;
    return count;
}

size_t bus_memory_open_records(void)
{
    return open_records;
}
