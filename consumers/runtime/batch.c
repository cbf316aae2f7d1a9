/* BATCH stages: takes what is there, handles it, produces, awaits every acknowledgement, advances
 * once.
 *
 * One batch is in flight; the next one is gathered meanwhile. An empty queue ends a batch at once.
 */
#include "consumers/runtime/internal.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"

#define BLOCKED_MS 100

static bool full(const struct runtime *rt)
{
    return rt->stash_count == rt->stash_max || rt->stash_bytes >= BATCH_BYTES;
}

static void drop_stash(struct runtime *rt)
{
    for (size_t i = 0; i < rt->stash_count; i++)
        record_done(&rt->stash[i]);
    rt->stash_count = rt->stash_bytes = 0;
}

void batch_drop(struct runtime *rt)
{
    drop_stash(rt);
    if (rt->batch)
        outbox_abandon(rt->batch);
    rt->batch = NULL;
    rt->batch_over = false;
}

static int take(struct runtime *rt, struct record *rec, struct err *err)
{
    struct part *part = part_find(rt, rec->topic, rec->partition);

    if (!part || !part->assigned || full(rt)) {
        record_done(rec);
        return err_set(err, ERR_BUSY, "a record of a partition that is not being read");
    }
    part->next = rec->offset + 1;
    if (part->done < 0)
        part->done = rec->offset;
    metric_add(METRIC_records_in_total, rec->topic, 1);
    rt->quiet_ms = runtime_mono_ms(rt);
    if (record_is_probe(rec)) {
        record_done(rec);
        return 0;
    }
    if (rt->stash_count == 0)
        rt->batch_ns = rt->clock.mono_ns(&rt->clock);
    rt->stash_bytes += rec->value.len;
    rt->stash[rt->stash_count++] = *rec;
    return 0;
}

/* While the batch before waits for the broker for long, the poll must go on: with everything
 * paused. */
static int pause_when_blocked(struct runtime *rt, struct err *err)
{
    int64_t now_ms = runtime_mono_ms(rt);

    if (!rt->blocked_ms)
        rt->blocked_ms = now_ms;
    if (rt->inputs[0].paused || now_ms - rt->blocked_ms < BLOCKED_MS)
        return 0;
    rt->inputs[0].paused = true;
    return consumer_pause(rt->consumer, NULL, 0, err);
}

static int gather(struct runtime *rt, struct err *err)
{
    struct record rec;
    int got;

    if (full(rt)) {
        if (pause_when_blocked(rt, err) < 0)
            return -1;
        if (!rt->inputs[0].paused)
            return 0;
    } else if (rt->inputs[0].paused) {
        rt->inputs[0].paused = false;
        rt->blocked_ms = 0;
        if (consumer_resume(rt->consumer, NULL, 0, err) < 0)
            return -1;
    }
    do {
        got = consumer_poll(rt->consumer, 0, &rec, err);
        if (got < 0 || (got > 0 && take(rt, &rec, err) < 0))
            return -1;
    } while (got > 0 && !full(rt));
    return 0;
}

static size_t marks_due(struct runtime *rt)
{
    size_t count = 0;

    if (rt->stage->offsets != OFFSETS_DATABASE)
        return 0;
    EACH_PART(rt, part)
    {
        int64_t to = rt->stage->marks_with_batch && rt->stash_count > 0 ? part->next : part->done;
        if (part->assigned && to > part->stored)
            rt->marks[count++] = (struct mark){part->topic, part->partition, to};
    }
    return count;
}

static void marks_stored(struct runtime *rt, size_t count)
{
    for (size_t i = 0; i < count; i++)
        part_find(rt, topic_spec(rt->marks[i].topic)->name, rt->marks[i].partition)->stored =
            rt->marks[i].next_offset;
}

/* What the batch in flight reaches, kept beside it: the next batch is gathered meanwhile. */
static void remember_ends(struct runtime *rt)
{
    EACH_PART(rt, part)
    part->batch_end = part->assigned ? part->next : -1;
}

void batch_acked(struct runtime *rt, struct outbox *out)
{
    CHECK(out == rt->batch);
    EACH_PART(rt, part)
    if (part->assigned && part->batch_end > part->done)
        part->done = part->batch_end;
    rt->batch = NULL;
    rt->batch_over = true;
    rt->backoff_ms = BACKOFF_MIN_MS;
    rt->quiet_ms = runtime_mono_ms(rt);
    metric_observe(METRIC_handle_seconds, rt->stage->name,
                   (uint64_t)(rt->clock.mono_ns(&rt->clock) - rt->batch_ns));
}

static int handle(struct runtime *rt, struct err *err)
{
    size_t marks = marks_due(rt);
    struct outbox *out = outbox_new(rt);
    struct batch batch = {rt->stash, rt->stash_count, rt->marks, marks};

    if (rt->stage->handle(rt->self, &batch, out, err) < 0) {
        outbox_abandon(out);
        return -1;
    }
    if (rt->stash_count > 0)
        metric_observe(METRIC_batch_records, rt->stage->name, rt->stash_count);
    /* Outputs of a stage that stores marks with the batch: it waits for their acknowledgement. */
    if (!rt->stage->marks_with_batch || out->count == 0)
        marks_stored(rt, marks);
    remember_ends(rt);
    drop_stash(rt);
    rt->batch = out;
    outbox_hand_over(out);
    return 0;
}

static bool idle_marks_due(struct runtime *rt, int64_t after_ms)
{
    return rt->stash_count == 0 && marks_due(rt) > 0 &&
           runtime_mono_ms(rt) - rt->quiet_ms >= after_ms;
}

int batch_turn(struct runtime *rt, struct err *err)
{
    if (gather(rt, err) < 0)
        return -1;
    if (rt->batch)
        return 0;
    if (rt->stash_count == 0 && !rt->batch) /* only probes came: nothing to wait for */
        EACH_PART(rt, part)
    if (part->assigned && part->next > part->done)
        part->done = part->next;
    if (rt->stash_count > 0 || idle_marks_due(rt, IDLE_MARK_MS))
        return handle(rt, err);
    if (parts_commit_due(rt))
        return parts_commit(rt, err);
    return 0;
}

int64_t batch_due_ms(const struct runtime *rt)
{
    if (rt->batch)
        return full(rt) ? runtime_mono_ms(rt) + BLOCKED_MS : INT64_MAX;
    EACH_PART(rt, part)
    if (part->assigned && part->done > part->stored)
        return rt->quiet_ms + IDLE_MARK_MS;
    return INT64_MAX;
}

int batch_finish(struct runtime *rt, bool *done, struct err *err)
{
    drop_stash(rt);
    EACH_PART(rt, part)
    if (part->assigned && !rt->batch)
        part->next = part->done; /* what was gathered and not handled is read again */
    *done = false;
    if (rt->batch)
        return 0;
    if (idle_marks_due(rt, 0))
        return handle(rt, err);
    *done = true;
    return parts_commit_due(rt) ? parts_commit(rt, err) : 0;
}
