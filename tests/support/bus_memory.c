/* The bus in memory; see bus_memory.h. */
#include "tests/support/bus_memory.h"
#include "lib/base/strict.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PARTITIONS 24

struct stored {
    struct record rec; /* owned copies */
    uint64_t written;  /* order over all partitions */
};
struct log {
    struct stored **records;
    size_t count;
    int64_t position, committed; /* the one consumer's */
    bool paused;
};
struct report {
    struct delivery delivery;
    struct report *next;
};
struct failure {
    size_t count;
    enum err_code code;
};
struct consumer {
    struct consumer_hooks hooks;
    bool reads[TOPIC_COUNT], assigned;
    enum { CALM, REVOKE, ASSIGN } pending;
    bool lost, tail;
    int fd;
};
struct producer {
    delivery_fn *on_delivery;
    void *owner;
    struct report *first, **last;
    int fd;
};

static struct log logs[TOPIC_COUNT][PARTITIONS];
static uint64_t written;
static struct partition_at open_commit[64]; /* consumer_commit_start */
static size_t open_count;
static bool commits_held;
static struct failure deliveries, polls, commits, topics_fail;
static bool held;
#define TAILS 4
static struct consumer *current, *tails[TAILS]; /* the group's, and those without a group */
static struct producer *current_producer;
static size_t open_records;

static int fails(struct failure *failure, const char *what, struct err *err)
{
    if (failure->count == 0)
        return 0;
    failure->count--;
    return err_set(err, failure->code, "%s fails on demand", what);
}

static void wake(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

static void calm(int fd)
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

/* ---- producer ---- */
int producer_open(const struct bus_config *config, delivery_fn *on_delivery, void *owner,
                  struct producer **out, struct err *err)
{
    struct producer *producer = calloc(1, sizeof *producer);

    (void)config, (void)err;
    CHECK(producer != NULL);
    producer->on_delivery = on_delivery;
    producer->owner = owner;
    producer->last = &producer->first;
    producer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = producer;
    if (on_delivery) /* another one only asks for offsets */
        current_producer = producer;
    return 0;
}

void producer_close(struct producer *producer)
{
    if (!producer)
        return;
    while (producer->first) {
        struct report *report = producer->first;
        producer->first = report->next;
        free(report);
    }
    close(producer->fd);
    if (current_producer == producer)
        current_producer = NULL;
    free(producer);
}

int producer_send(struct producer *producer, const char *topic, int32_t partition, struct span key,
                  const struct bus_header *headers, size_t header_count, struct span value,
                  void *opaque, struct err *err)
{
    struct report *report = calloc(1, sizeof *report);
    enum topic which;

    CHECK(report != NULL && topic_find(span_text(topic), &which) == 0);
    if (value.len > RECORD_BYTES_MAX + 65536) {
        free(report);
        return err_set(err, ERR_TOO_LARGE, "the record is too large");
    }
    report->delivery = (struct delivery){.opaque = opaque, .partition = partition};
    if (fails(&deliveries, "delivery", &report->delivery.err) == 0)
        report->delivery.offset =
            bus_memory_append(which, partition, key, headers, header_count, value);
    *producer->last = report;
    producer->last = &report->next;
    wake(producer->fd);
    return 0;
}

int producer_fd(struct producer *producer)
{
    return producer->fd;
}

int producer_poll(struct producer *producer, int timeout_ms)
{
    int served = 0;

    (void)timeout_ms;
    calm(producer->fd);
    while (producer->first && !held) {
        struct report *report = producer->first;
        producer->first = report->next;
        if (!producer->first)
            producer->last = &producer->first;
        producer->on_delivery(producer->owner, &report->delivery);
        free(report);
        served++;
    }
    return served;
}

int producer_flush(struct producer *producer, int timeout_ms, struct err *err)
{
    (void)err;
    producer_poll(producer, timeout_ms);
    return 0;
}

int producer_end_offsets(struct producer *producer, const char *topic, int32_t partitions,
                         int64_t *ends, int timeout_ms, struct err *err)
{
    enum topic which;

    (void)producer, (void)timeout_ms, (void)err;
    CHECK(topic_find(span_text(topic), &which) == 0);
    for (int32_t p = 0; p < partitions; p++)
        ends[p] = (int64_t)logs[which][p].count;
    return 0;
}

int producer_offsets_at(struct producer *producer, const char *topic, int32_t partitions,
                        int64_t time_ms, int64_t *offsets, int timeout_ms, struct err *err)
{
    enum topic which;

    (void)producer, (void)timeout_ms, (void)err;
    CHECK(topic_find(span_text(topic), &which) == 0);
    for (int32_t p = 0; p < partitions; p++) {
        offsets[p] = -1;
        for (size_t i = logs[which][p].count; i-- > 0;)
            if (logs[which][p].records[i]->rec.timestamp_ms >= time_ms)
                offsets[p] = (int64_t)i;
    }
    return 0;
}

int producer_begin_offsets(struct producer *producer, const char *topic, int32_t partitions,
                           int64_t *begins, int timeout_ms, struct err *err)
{
    (void)producer, (void)topic, (void)timeout_ms, (void)err;
    memset(begins, 0, (size_t)partitions * sizeof *begins);
    return 0;
}

int producer_warm(struct producer *producer, const char *const *topics, size_t count,
                  int timeout_ms, struct err *err)
{
    static const struct bus_header type = {"type", SPAN_LIT(BUS_PROBE_TYPE)};
    enum topic which;

    (void)producer, (void)timeout_ms, (void)err;
    for (size_t i = 0; i < count; i++) {
        CHECK(topic_find(span_text(topics[i]), &which) == 0);
        bus_memory_append(which, 0, SPAN_LIT("probe"), &type, 1, SPAN_LIT(""));
    }
    return 0;
}

/* ---- consumer ---- */
int consumer_open(const struct bus_config *config, const char *group, const char *const *names,
                  size_t count, const struct consumer_hooks *hooks, struct consumer **out,
                  struct err *err)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    enum topic which;

    (void)config, (void)err;
    CHECK(consumer != NULL);
    consumer->hooks = *hooks;
    for (size_t i = 0; i < count; i++) {
        CHECK(topic_find(span_text(names[i]), &which) == 0);
        consumer->reads[which] = true;
    }
    consumer->pending = ASSIGN;
    consumer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    wake(consumer->fd);
    *out = consumer;
    if (group[0])
        current = consumer;
    return 0;
}

int tail_open(const struct bus_config *config, const struct partition_at *parts, size_t count,
              struct consumer **out, struct err *err)
{
    static const struct consumer_hooks none = {0};
    const char *topic = parts[0].topic;
    enum topic which;

    if (consumer_open(config, "", &topic, 1, &none, out, err) < 0)
        return -1;
    (*out)->pending = CALM;
    (*out)->assigned = (*out)->tail = true;
    size_t slot = 0;
    while (tails[slot])
        slot++;
    CHECK(slot < TAILS);
    tails[slot] = *out;
    for (size_t i = 0; i < count; i++) {
        CHECK(topic_find(span_text(parts[i].topic), &which) == 0);
        (*out)->reads[which] = true;
        logs[which][parts[i].partition].position = parts[i].offset < 0 ? 0 : parts[i].offset;
    }
    return 0;
}

void consumer_close(struct consumer *consumer)
{
    if (!consumer)
        return;
    CHECK(consumer->tail || open_records == 0); /* the real one would wait for ever */
    if (current == consumer)
        current = NULL;
    for (size_t i = 0; i < TAILS; i++)
        if (tails[i] == consumer)
            tails[i] = NULL;
    close(consumer->fd);
    free(consumer);
}

int consumer_fd(struct consumer *consumer)
{
    return consumer->fd;
}

static size_t list_parts(struct consumer *consumer, struct partition_at *parts)
{
    size_t count = 0;

    for (int t = 0; t < TOPIC_COUNT; t++)
        for (int32_t p = 0; consumer->reads[t] && p < topic_spec((enum topic)t)->partitions; p++)
            parts[count++] =
                (struct partition_at){topic_spec((enum topic)t)->name, p, BUS_COMMITTED};
    return count;
}

static int rebalance(struct consumer *consumer, struct err *err)
{
    struct partition_at parts[TOPIC_COUNT * PARTITIONS];
    size_t count = list_parts(consumer, parts);
    enum topic which;

    if (consumer->pending == REVOKE) {
        consumer->pending = ASSIGN;
        if (consumer->assigned && consumer->hooks.on_revoke)
            consumer->hooks.on_revoke(consumer->hooks.owner, parts, count, consumer->lost);
        consumer->assigned = false;
        wake(consumer->fd);
        return 0;
    }
    if (consumer->hooks.on_assign(consumer->hooks.owner, parts, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        CHECK(topic_find(span_text(parts[i].topic), &which) == 0);
        struct log *log = &logs[which][parts[i].partition];
        int64_t from = parts[i].offset == BUS_COMMITTED ? log->committed : parts[i].offset;
        log->position = from < 0 ? 0 : from;
        log->paused = false;
    }
    consumer->assigned = true;
    consumer->pending = CALM;
    return 0;
}

int consumer_poll(struct consumer *consumer, int timeout_ms, struct record *out, struct err *err)
{
    struct log *first = NULL;

    (void)timeout_ms;
    if (fails(&polls, "poll", err) < 0)
        return -1;
    if (consumer->pending != CALM)
        return rebalance(consumer, err);
    for (int t = 0; t < TOPIC_COUNT; t++)
        for (int p = 0; consumer->reads[t] && p < PARTITIONS; p++) {
            struct log *log = &logs[t][p];
            if (log->paused || (size_t)log->position >= log->count)
                continue;
            if (!first ||
                log->records[log->position]->written < first->records[first->position]->written)
                first = log;
        }
    if (!first || !consumer->assigned) {
        calm(consumer->fd);
        return 0;
    }
    *out = first->records[first->position++]->rec;
    out->handle = out; /* not NULL: to be given back */
    open_records++;
    return 1;
}

void record_done(struct record *record)
{
    if (record->handle)
        open_records--;
    record->handle = NULL;
}

bool record_is_probe(const struct record *record)
{
    for (size_t i = 0; i < record->header_count && i < BUS_HEADERS_MAX; i++)
        if (strcmp(record->headers[i].name, "type") == 0)
            return span_is(record->headers[i].value, BUS_PROBE_TYPE);
    return false;
}

int consumer_seek(struct consumer *consumer, const struct partition_at *to, size_t count,
                  struct err *err)
{
    enum topic which;

    (void)err;
    for (size_t i = 0; i < count; i++) {
        CHECK(topic_find(span_text(to[i].topic), &which) == 0);
        logs[which][to[i].partition].position = to[i].offset < 0 ? 0 : to[i].offset;
    }
    wake(consumer->fd);
    return 0;
}

static int set_paused(struct consumer *consumer, const char *topic, int32_t partition, bool paused)
{
    enum topic which;

    if (topic) {
        CHECK(topic_find(span_text(topic), &which) == 0);
        logs[which][partition].paused = paused;
    }
    for (int t = 0; !topic && t < TOPIC_COUNT; t++)
        for (int p = 0; consumer->reads[t] && p < PARTITIONS; p++)
            logs[t][p].paused = paused;
    wake(consumer->fd);
    return 0;
}

int consumer_pause(struct consumer *consumer, const char *topic, int32_t partition, struct err *err)
{
    (void)err;
    return set_paused(consumer, topic, partition, true);
}

int consumer_resume(struct consumer *consumer, const char *topic, int32_t partition,
                    struct err *err)
{
    (void)err;
    return set_paused(consumer, topic, partition, false);
}

int consumer_commit(struct consumer *consumer, const struct partition_at *next, size_t count,
                    struct err *err)
{
    enum topic which;

    CHECK(consumer->assigned);
    if (fails(&commits, "commit", err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        CHECK(topic_find(span_text(next[i].topic), &which) == 0);
        logs[which][next[i].partition].committed = next[i].offset;
    }
    return 0;
}

/* Taken when the answer is asked for. */
int consumer_commit_start(struct consumer *consumer, const struct partition_at *next, size_t count,
                          struct err *err)
{
    (void)consumer, (void)err;
    CHECK(count <= COUNT_OF(open_commit));
    for (size_t i = 0; i < count; i++)
        open_commit[i] = next[i];
    open_count = count;
    return 0;
}

int consumer_commit_answer(struct consumer *consumer, struct err *err)
{
    if (commits_held)
        return 0;
    return consumer_commit(consumer, open_commit, open_count, err) < 0 ? -1 : 1;
}

int bus_committed(const struct bus_config *config, const char *group, const char *topic,
                  int32_t partitions, int64_t *offsets, int timeout_ms, struct err *err)
{
    enum topic which;

    (void)config, (void)group, (void)timeout_ms, (void)err;
    CHECK(topic_find(span_text(topic), &which) == 0);
    for (int32_t p = 0; p < partitions; p++)
        offsets[p] = logs[which][p].committed;
    return 0;
}

int bus_topics_create(const struct bus_config *config, const struct topic_want *wants, size_t count,
                      int timeout_ms, struct err *err)
{
    (void)config, (void)wants, (void)count, (void)timeout_ms;
    return fails(&topics_fail, "topics", err);
}

int bus_topics_check(const struct bus_config *config, const struct topic_want *wants, size_t count,
                     int timeout_ms, struct err *err)
{
    (void)config, (void)wants, (void)count, (void)timeout_ms;
    return fails(&topics_fail, "topics", err);
}
