/* Submissions that come while the sandboxes have work enough travel together: those of the same
 * 16 ms share a partition, so held until that slice of time is over they are one record batch, one
 * fetch and one transaction of admission, one flush of the disk and one request of each stage
 * behind it.
 *
 * Held is only what its client waits for a verdict of: nobody waits for the acknowledgement.
 * Nothing was produced and nothing was told yet: a client that leaves, or a death, leaves nothing
 * behind. */
#include "producers/gateway/submit_impl.h"

#define AHEAD_MIN 6
#define BYTES_MAX 65536

/* Ahead: others that wait for their verdicts and are not held. They lately waited for took_ms. */
bool submit_worth_holding(size_t ahead, int64_t took_ms)
{
    return ahead >= AHEAD_MIN && took_ms >= 2 * PARTITION_SLICE_MS;
}

static int64_t slice_of(int64_t wall_ms)
{
    return wall_ms / PARTITION_SLICE_MS;
}

static int64_t wall_ms(const struct submits *subs)
{
    return gateway_wall_ns(subs->gw) / 1000000;
}

/* True: taken, it is sent later. The parsed submission is in subs->plain. */
bool submit_hold(struct submit *sub)
{
    struct submits *subs = sub->subs;
    if (!sub->wait || sub->keyed || subs->gw->stopping || subs->plain.len > BYTES_MAX ||
        !submit_worth_holding(subs->places - 1 - subs->held_count, subs->took_ms))
        return false;
    sub->held = (struct buf){.max = BYTES_MAX};
    buf_add(&sub->held, subs->plain.data, subs->plain.len);
    if (sub->held.failed)
        return false;
    sub->phase = PHASE_HELD;
    subs->held_count++;
    metric_add(METRIC_submissions_held_total, NULL, 1);
    submit_list_join(&subs->held, sub);
    return true;
}

void submit_hold_leave(struct submit *sub)
{
    if (!sub->held.data)
        return;
    wipe(sub->held.data, sub->held.len);
    buf_done(&sub->held);
    sub->subs->held_count--;
    submit_list_leave(sub);
}

static void let_go(struct submit *sub)
{
    struct submits *subs = sub->subs;
    buf_clear(&subs->plain);
    buf_add(&subs->plain, sub->held.data, sub->held.len);
    submit_hold_leave(sub);
    if (submits_broker_away(subs))
        submit_answer_error(sub, API_ERROR_unavailable, SUBMIT_LOG_AWAY);
    else
        submit_send(sub);
}

/* Sends what is of an earlier slice than now; of a later one, too, when the clock was set back. */
int64_t submit_hold_turn(void *owner)
{
    struct submits *subs = owner;
    int64_t now_ms = wall_ms(subs);
    while (subs->held.next != &subs->held) {
        struct submit *sub = subs->held.next;
        if (slice_of(uuid_ms(&sub->id)) == slice_of(now_ms) && !subs->gw->stopping)
            return (slice_of(now_ms) + 1) * PARTITION_SLICE_MS - now_ms;
        let_go(sub);
    }
    return -1;
}

/* A verdict came to somebody who waited since sent_ms. */
void submit_took(struct submits *subs, int64_t took_ms)
{
    subs->took_ms = (7 * subs->took_ms + took_ms) / 8;
}
