/* SOURCE stages: what they have is produced, awaited and marked at its source. One batch is in
 * flight; the stage is asked again after each that had outputs, since more may wait. */
#include "consumers/runtime/internal.h"

static bool due(const struct runtime *rt)
{
    return rt->ask_again || rt->stage_readable ||
           (rt->stage->next_due_ms && rt->stage->next_due_ms(rt->self) <= runtime_mono_ms(rt));
}

static int mark(struct runtime *rt, struct err *err)
{
    if (!rt->batch_over)
        return 0;
    rt->batch_over = false;
    rt->ask_again = true;
    return rt->stage->acked(rt->self, err);
}

static int ask(struct runtime *rt, struct err *err)
{
    struct outbox *out = outbox_new(rt);
    struct batch nothing = {.records = NULL};

    rt->ask_again = false;
    rt->batch_ns = rt->clock.mono_ns(&rt->clock);
    if (rt->stage->handle(rt->self, &nothing, out, err) < 0) {
        outbox_abandon(out);
        return -1;
    }
    if (out->count == 0) {
        outbox_abandon(out);
        return 0;
    }
    metric_observe(METRIC_batch_records, rt->stage->name, out->count);
    rt->batch = out;
    outbox_hand_over(out);
    return 0;
}

int source_turn(struct runtime *rt, struct err *err)
{
    if (rt->batch)
        return 0;
    if (mark(rt, err) < 0)
        return -1;
    return due(rt) ? ask(rt, err) : 0;
}

int64_t source_due_ms(const struct runtime *rt)
{
    if (rt->batch)
        return INT64_MAX;
    if (rt->ask_again || rt->batch_over)
        return runtime_mono_ms(rt);
    return rt->stage->next_due_ms ? rt->stage->next_due_ms(rt->self) : INT64_MAX;
}

int source_finish(struct runtime *rt, bool *done, struct err *err)
{
    *done = !rt->batch;
    return rt->batch ? 0 : mark(rt, err);
}
