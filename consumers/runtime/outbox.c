/* Outputs: copied from the stage, produced, kept until the broker has acknowledged each.
 *
 * A record whose delivery failed because the broker is away is sent again from here; nothing else
 * is repeated for it. Never drops a record, except of an outbox that was abandoned (its inputs will
 * be read again). */
#include "consumers/runtime/internal.h"
#include "lib/base/strict.h"
#include "lib/log/log.h"
#include <stdio.h>
#include <stdlib.h>

#define OUTBOX_BYTES ((size_t)512 * 1024 * 1024)
#define RESEND_MS 200
/* A dead record keeps room for its own headers below the broker's largest message. */
#define DEAD_HEADERS_BYTES (64 * 1024)
#define DEAD_KEY_BYTES 4096

_Static_assert(sizeof(struct header) == sizeof(struct bus_header), "one layout, two names");

struct outbox *outbox_new(struct runtime *rt)
{
    struct outbox *out = rt->free_outboxes;

    if (out) {
        rt->free_outboxes = out->next;
        out->next = NULL;
        return out;
    }
    out = calloc(1, sizeof *out);
    CHECK(out != NULL);
    out->rt = rt;
    out->all = rt->all_outboxes;
    rt->all_outboxes = out;
    arena_init(&out->arena, OUTBOX_BYTES);
    return out;
}

static void recycle(struct outbox *out)
{
    struct runtime *rt = out->rt;

    for (size_t i = 0; i < out->count; i++)
        free(out->outputs[i]);
    arena_done(&out->arena); /* thousands may be idle, and would keep a block each */
    *out = (struct outbox){.rt = rt,
                           .arena = out->arena,
                           .outputs = out->outputs,
                           .cap = out->cap,
                           .all = out->all,
                           .next = rt->free_outboxes};
    rt->free_outboxes = out;
}

void outboxes_free(struct runtime *rt)
{
    while (rt->all_outboxes) {
        struct outbox *out = rt->all_outboxes;
        rt->all_outboxes = out->all;
        for (size_t i = 0; i < out->count; i++)
            free(out->outputs[i]);
        free(out->outputs);
        arena_done(&out->arena);
        free(out);
    }
    rt->sending = rt->free_outboxes = NULL;
}

static struct output *add(struct outbox *out, enum topic topic, struct err *err)
{
    struct output *output;

    if (out->count == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 4;
        struct output **grown = realloc(out->outputs, cap * sizeof *grown);
        if (!grown) {
            err_set(err, ERR_NO_MEMORY, "outbox of %zu records", cap);
            return NULL;
        }
        out->outputs = grown;
        out->cap = cap;
    }
    output = calloc(1, sizeof *output);
    if (!output) {
        err_set(err, ERR_NO_MEMORY, "outbox");
        return NULL;
    }
    output->box = out;
    output->topic = topic_spec(topic);
    out->outputs[out->count++] = output;
    return output;
}

int outbox_add(struct outbox *out, enum topic topic, const struct envelope *env, struct span value,
               struct err *err)
{
    return outbox_add_at(out, topic, envelope_partition(env, topic), env, value, err);
}

int outbox_add_at(struct outbox *out, enum topic topic, int32_t partition,
                  const struct envelope *env, struct span value, struct err *err)
{
    struct header headers[ENVELOPE_HEADERS_MAX];
    size_t count = envelope_encode(env, &out->arena, headers);
    struct output *output = count ? add(out, topic, err) : NULL;
    char key[UUID_TEXT];

    if (!count)
        return err_set(err, ERR_NO_MEMORY, "outbox: the batch's outputs are too large");
    if (!output)
        return -1;
    envelope_key(env, key);
    output->partition = partition;
    output->key = arena_copy(&out->arena, span_text(key));
    if (value.data) /* none at all: a tombstone */
        output->value = arena_copy(&out->arena, value);
    output->headers = arena_alloc(&out->arena, count * sizeof *output->headers);
    if (!output->key.data || !output->headers || (value.len > 0 && !output->value.data))
        return err_set(err, ERR_NO_MEMORY, "outbox: the batch's outputs are too large");
    memcpy(output->headers, headers, count * sizeof *output->headers);
    output->header_count = count;
    return 0;
}

/* The original headers, as many as fit; true when some were left out. */
static bool dead_headers(struct outbox *out, const struct record *rec, struct bus_header *headers,
                         size_t *count)
{
    size_t bytes = 0, all = rec->header_count;

    *count = 0;
    for (size_t i = 0; i < all && i < BUS_HEADERS_MAX; i++) {
        const struct bus_header *from = &rec->headers[i];
        bytes += strlen(from->name) + from->value.len;
        if (bytes > DEAD_HEADERS_BYTES)
            return true;
        headers[*count] = (struct bus_header){arena_text(&out->arena, span_text(from->name)),
                                              arena_copy(&out->arena, from->value)};
        if (!headers[*count].name)
            return true;
        ++*count;
    }
    return all > BUS_HEADERS_MAX;
}

static struct span cut(struct span bytes, size_t max, bool *was_cut)
{
    *was_cut |= bytes.len > max;
    return span_of(bytes.data, bytes.len > max ? max : bytes.len);
}

static void dead_note(struct outbox *out, struct output *output, const char *name, const char *text)
{
    const char *copy = arena_text(&out->arena, span_text(text));

    CHECK(copy != NULL);
    output->headers[output->header_count++] = (struct bus_header){name, span_text(copy)};
}

int outbox_dead(struct outbox *out, const struct record *rec, const char *why, struct err *err)
{
    struct output *output = add(out, TOPIC_dead, err);
    char number[24];
    bool was_cut;

    if (!output)
        return -1;
    output->headers = arena_alloc(&out->arena, (BUS_HEADERS_MAX + 6) * sizeof *output->headers);
    if (!output->headers)
        return err_set(err, ERR_NO_MEMORY, "outbox: dead record");
    output->partition = rec->partition % output->topic->partitions;
    was_cut = dead_headers(out, rec, output->headers, &output->header_count);
    output->key = arena_copy(&out->arena, cut(rec->key, DEAD_KEY_BYTES, &was_cut));
    output->value = arena_copy(&out->arena, cut(rec->value, RECORD_BYTES_MAX, &was_cut));
    if (rec->value.len > 0 && !output->value.data)
        return err_set(err, ERR_NO_MEMORY, "outbox: dead record");
    dead_note(out, output, "dead-why", why);
    dead_note(out, output, "dead-topic", rec->topic);
    snprintf(number, sizeof number, "%d", rec->partition);
    dead_note(out, output, "dead-partition", number);
    snprintf(number, sizeof number, "%lld", (long long)rec->offset);
    dead_note(out, output, "dead-offset", number);
    snprintf(number, sizeof number, "%lld", (long long)rec->timestamp_ms);
    dead_note(out, output, "dead-time", number);
    if (was_cut)
        dead_note(out, output, "dead-cut", "parts were too large or too many to be kept");
    log_event(LOG_WARN, "dead_record", kv("topic", rec->topic), kv("partition", rec->partition),
              kv("offset", rec->offset), kv("why", why));
    return 0;
}

static void list(struct outbox *out)
{
    if (out->listed)
        return;
    out->listed = true;
    out->next = NULL;
    struct outbox **at = &out->rt->sending;
    while (*at)
        at = &(*at)->next;
    *at = out;
}

/* Everything acknowledged, or nobody cares and the library has let go. */
static void settle(struct outbox *out)
{
    struct runtime *rt = out->rt;

    if (out->abandoned || out->best_effort) {
        if (out->in_flight == 0 && !out->listed)
            recycle(out);
    } else if (out->handed_over && out->acked == out->count) {
        void *ticket = out->owner;
        if (ticket)
            async_acked(rt, ticket);
        else
            batch_acked(rt, out);
        recycle(out);
    }
}

static bool lingers(const struct outbox *out, int64_t now_ms)
{
    return out->linger_ms > now_ms && !out->abandoned && out->rt->phase == PHASE_RUNNING;
}

/* What waits for others of its partition goes with this one. */
static void take_along(const struct outbox *out)
{
    const struct output *one = out->outputs[0];

    for (struct outbox *other = out->rt->sending; other; other = other->next)
        if (other->linger_ms && other->count > 0 && other->outputs[0]->topic == one->topic &&
            other->outputs[0]->partition == one->partition)
            other->linger_ms = 0;
}

void outbox_hand_over(struct outbox *out)
{
    out->handed_over = true;
    if (out->count > 0)
        list(out);
    else
        settle(out);
}

/* The stage keeps the address of env.best_effort: its contents travel in another outbox. */
void outbox_send_best_effort(struct runtime *rt)
{
    struct outbox *kept = rt->env.best_effort, *out;
    struct outbox swap;

    if (kept->count == 0)
        return;
    out = outbox_new(rt);
    swap = *out;
    out->arena = kept->arena;
    out->outputs = kept->outputs;
    out->count = kept->count;
    out->cap = kept->cap;
    for (size_t i = 0; i < out->count; i++)
        out->outputs[i]->box = out;
    kept->arena = swap.arena;
    kept->outputs = swap.outputs;
    kept->cap = swap.cap;
    kept->count = 0;
    out->best_effort = true;
    outbox_hand_over(out);
}

void outbox_abandon(struct outbox *out)
{
    out->abandoned = true;
    if (!out->listed)
        settle(out);
}

/* 1 = sent, 0 = the local queue is full, -1 = fatal. */
static int send_one(struct runtime *rt, struct output *output, struct err *err)
{
    if (producer_send(rt->producer, output->topic->name, output->partition, output->key,
                      output->headers, output->header_count, output->value, output, err) == 0) {
        output->state = OUTPUT_SENT;
        output->box->in_flight++;
        rt->in_flight++;
        return 1;
    }
    if (err_class(err->code) == ERR_FATAL || err->code == ERR_TOO_LARGE)
        return err_wrap(err, "producing to %s", output->topic->name);
    if (err->code != ERR_BUSY)
        log_event(LOG_WARN, "produce_failed", kv("topic", output->topic->name), kv_err(err));
    return 0;
}

static int send_all(struct runtime *rt, struct outbox *out, struct err *err)
{
    for (size_t i = 0; i < out->count; i++)
        if (out->outputs[i]->state == OUTPUT_WAITING && !out->abandoned) {
            int sent = send_one(rt, out->outputs[i], err);
            if (sent <= 0)
                return sent;
        }
    return 1;
}

int outboxes_send(struct runtime *rt, struct err *err)
{
    int64_t now_ms = runtime_mono_ms(rt);
    struct outbox **at = &rt->sending;

    if (rt->resend_ms > now_ms)
        return 0;
    for (struct outbox *out = rt->sending; out; out = out->next)
        if (!lingers(out, now_ms) && out->count > 0)
            take_along(out);
    while (*at) {
        struct outbox *out = *at;
        if (lingers(out, now_ms)) {
            at = &out->next;
            continue;
        }
        int sent = send_all(rt, out, err);
        if (sent < 0)
            return -1;
        if (sent == 0 && out->best_effort)
            out->abandoned = true; /* dropped rather than waited for */
        else if (sent == 0) {
            rt->resend_ms = now_ms + 5;
            return 0;
        }
        *at = out->next;
        out->listed = false;
        if (out->abandoned)
            settle(out);
    }
    return 0;
}

int64_t outboxes_due_ms(const struct runtime *rt)
{
    int64_t now_ms = runtime_mono_ms(rt), first_ms = INT64_MAX;

    for (const struct outbox *out = rt->sending; out; out = out->next) {
        int64_t due_ms = lingers(out, now_ms) ? out->linger_ms : rt->resend_ms;
        first_ms = due_ms < first_ms ? due_ms : first_ms;
    }
    return first_ms;
}

void outbox_delivered(void *runtime, const struct delivery *delivery)
{
    struct runtime *rt = runtime;
    struct output *output = delivery->opaque;
    struct outbox *out = output->box;

    out->in_flight--;
    rt->in_flight--;
    if (delivery->err.code == ERR_NONE) {
        output->state = OUTPUT_ACKED;
        out->acked++;
        metric_add(METRIC_records_out_total, output->topic->name, 1);
    } else if (!out->best_effort && !out->abandoned) {
        output->state = OUTPUT_WAITING;
        metric_add(METRIC_errors_total, err_name(delivery->err.code), 1);
        if (err_class(delivery->err.code) == ERR_FATAL || delivery->err.code == ERR_TOO_LARGE)
            rt->failed = delivery->err;
        else
            log_event(LOG_WARN, "produce_failed", kv("topic", output->topic->name),
                      kv_err(&delivery->err));
        rt->resend_ms = runtime_mono_ms(rt) + RESEND_MS;
        list(out);
        return;
    }
    settle(out);
}
