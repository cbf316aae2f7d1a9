/* Consumers, tails and topics of the bus in memory. */
#include "lib/base/strict.h"
#include "tests/support/bus_memory_impl.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct partition_at open_commit[64]; /* consumer_commit_start */
static size_t open_count;

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
