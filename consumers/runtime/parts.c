/* The partitions in hand: assignments, positions, commits, the way back after an error.
 *
 * Called by the consumer's hooks (inside consumer_poll) and by the loop. */
#include "consumers/runtime/internal.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include <stdlib.h>

void parts_open(struct runtime *rt)
{
    rt->input_count = rt->stage->input_count;
    CHECK(rt->input_count <= INPUTS_MAX);
    for (size_t i = 0; i < rt->input_count; i++) {
        struct input *input = &rt->inputs[i];
        input->topic = rt->stage->inputs[i];
        input->count = topic_spec(input->topic)->partitions;
        input->parts = calloc((size_t)input->count, sizeof *input->parts);
        CHECK(input->parts != NULL);
        for (int32_t p = 0; p < input->count; p++)
            input->parts[p] = (struct part){
                .topic = input->topic, .partition = p, .next = -1, .done = -1, .stored = -1};
    }
}

void parts_close(struct runtime *rt)
{
    for (size_t i = 0; i < rt->input_count; i++)
        free(rt->inputs[i].parts);
}

struct part *part_find(struct runtime *rt, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < rt->input_count; i++)
        if (strcmp(topic_spec(rt->inputs[i].topic)->name, topic) == 0)
            return partition >= 0 && partition < rt->inputs[i].count
                       ? &rt->inputs[i].parts[partition]
                       : NULL;
    return NULL;
}

static struct partition_at at(const struct part *part, int64_t offset)
{
    return (struct partition_at){topic_spec(part->topic)->name, part->partition, offset};
}

static size_t part_total(const struct runtime *rt)
{
    size_t total = 0;

    for (size_t i = 0; i < rt->input_count; i++)
        total += (size_t)rt->inputs[i].count;
    return total;
}

static int database_offsets(struct runtime *rt, struct partition_at *parts, size_t count,
                            struct err *err)
{
    struct mark *marks = calloc(count + 1, sizeof *marks);
    int result = 0;

    CHECK(marks != NULL);
    for (size_t i = 0; i < count; i++)
        marks[i] = (struct mark){part_find(rt, parts[i].topic, parts[i].partition)->topic,
                                 parts[i].partition, 0};
    if (count > 0)
        result = rt->stage->load_offsets(rt->self, marks, count, err);
    for (size_t i = 0; i < count && result == 0; i++)
        parts[i].offset = marks[i].next_offset;
    free(marks);
    return result < 0 ? err_wrap(err, "reading the stored offsets") : 0;
}

int parts_on_assign(void *runtime, struct partition_at *parts, size_t count, struct err *err)
{
    struct runtime *rt = runtime;

    for (size_t i = 0; i < count; i++)
        if (!part_find(rt, parts[i].topic, parts[i].partition))
            return err_set(err, ERR_CONFIG,
                           "topic %s has a partition %d that the topic table does "
                           "not know: run `rustbox admin topics`",
                           parts[i].topic, parts[i].partition);
    if (rt->stage->offsets == OFFSETS_DATABASE && database_offsets(rt, parts, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct part *part = part_find(rt, parts[i].topic, parts[i].partition);
        int64_t from = rt->stage->offsets == OFFSETS_DATABASE ? parts[i].offset : -1;
        part->assigned = true;
        part->next = part->done = part->stored = from;
        part->committing = -1;
    }
    for (size_t i = 0; i < rt->input_count; i++)
        rt->inputs[i].paused = false;
    rt->assigned = count;
    rt->assignment_seen = true;
    metric_set(METRIC_partitions, rt->stage->name, (int64_t)count);
    log_event(LOG_INFO, "assigned", kv("partitions", count));
    return 0;
}

void parts_on_revoke(void *runtime, const struct partition_at *parts, size_t count, bool lost)
{
    struct runtime *rt = runtime;

    (void)parts; /* eager: always all of them */
    batch_drop(rt);
    async_drop(rt, !lost);
    EACH_PART(rt, part)
    part->assigned = false;
    rt->assigned = 0;
    rt->assignment_seen = false;
    metric_set(METRIC_partitions, rt->stage->name, 0);
    log_event(LOG_INFO, "revoked", kv("partitions", count), kv("lost", lost));
}

bool parts_commit_due(const struct runtime *rt)
{
    if (rt->stage->offsets != OFFSETS_KAFKA)
        return false;
    EACH_PART(rt, part)
    if (part->assigned && part->done > part->stored)
        return true;
    return false;
}

static size_t commit_list(struct runtime *rt, struct partition_at *next)
{
    size_t count = 0;

    EACH_PART(rt, part)
    if (part->assigned && part->done > part->stored)
        next[count++] = at(part, part->done);
    return count;
}

int parts_commit(struct runtime *rt, struct err *err)
{
    struct partition_at *next = calloc(part_total(rt), sizeof *next);
    size_t count;
    int result;

    CHECK(next != NULL);
    rt->commit_open = false; /* this one says more */
    count = commit_list(rt, next);
    result = count ? consumer_commit(rt->consumer, next, count, err) : 0;
    if (result == 0)
        EACH_PART(rt, part)
    if (part->assigned && part->done > part->stored)
        part->stored = part->done;
    free(next);
    return result;
}

int parts_commit_start(struct runtime *rt, struct err *err)
{
    struct partition_at *next = calloc(part_total(rt), sizeof *next);
    int result;

    CHECK(next != NULL && !rt->commit_open);
    EACH_PART(rt, part)
    part->committing = part->assigned && part->done > part->stored ? part->done : -1;
    result = consumer_commit_start(rt->consumer, next, commit_list(rt, next), err);
    rt->commit_open = result == 0;
    free(next);
    return result;
}

int parts_commit_answer(struct runtime *rt, struct err *err)
{
    int answer = consumer_commit_answer(rt->consumer, err);

    rt->commit_open = answer == 0;
    if (answer == 1)
        EACH_PART(rt, part)
    if (part->assigned && part->committing > part->stored)
        part->stored = part->committing;
    return answer;
}

int parts_seek_back(struct runtime *rt, struct err *err)
{
    struct partition_at *to = calloc(part_total(rt), sizeof *to);
    size_t count = 0;
    int result = 0;

    CHECK(to != NULL);
    EACH_PART(rt, part)
    if (part->assigned && (part->next >= 0 || rt->stage->offsets == OFFSETS_DATABASE))
        to[count++] = at(part, part->done);
    if (rt->stage->offsets == OFFSETS_DATABASE)
        result = database_offsets(rt, to, count, err);
    if (result == 0 && count > 0)
        result = consumer_seek(rt->consumer, to, count, err);
    for (size_t i = 0; i < count && result == 0; i++) {
        struct part *part = part_find(rt, to[i].topic, to[i].partition);
        part->next = part->done = to[i].offset;
        if (rt->stage->offsets == OFFSETS_DATABASE)
            part->stored = to[i].offset;
    }
    free(to);
    return result;
}
