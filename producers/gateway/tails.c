/* The tails: readers without a group, one over verdicts, one over submissions, progress and
 * control. Every fetch names and answers all partitions of its reader and costs the broker more
 * than a record does: where somebody waits they should be few, and what nobody waits for is
 * gathered. Who waits for the tail of submissions (a keyed submission, a miss of GET) hurries it.
 *
 * It decides nothing but what is remembered: submissions and verdicts from the begins that the
 * database's offsets allow (delivery.md rules 24, 25), control into the keyring (rule 26), progress
 * as a hint. A damaged record is passed over; admit and persist say what becomes of it. */
#include "lib/base/enc.h"
#include "producers/gateway/gateway.h"
#include <sys/epoll.h>

#define BATCH_RECORDS 400
#define RUNNING_MAX 100000
#define WORKERS_MAX 64
#define WORKER_ALIVE_MS 15000
#define SAMPLE_EVERY_MS 1000
#define ENDS_TIMEOUT_MS 5000
#define GATHER_MS 50

struct running {
    struct node node;
    struct running *next;
    struct uuid id;
    int64_t started_ns;
};

struct worker {
    char name[24];
    int64_t seen_ms;
};

/* An own record, acknowledged and not read yet: counted as open until the tail has it. */
struct unseen {
    struct unseen *next;
    struct project *project;
    int64_t offset;
};

struct reader {
    struct consumer *consumer;
    struct watch watch;
    bool more;
};

struct tails {
    struct gateway *gw;
    struct reader prompt, side; /* verdicts; submissions, progress and control */
    bool hurried;
    struct {
        struct unseen *first, *last; /* by offset */
    } unseen[PARTITIONS];
    int64_t pos[TOPIC_COUNT][PARTITIONS]; /* next offset to be read */
    int64_t target[2][PARTITIONS];        /* submissions, verdicts: must be passed before answers */
    bool caught_up;
    int64_t provisional_ms; /* begin_ms until the broker's clock is known */
    struct table running;
    struct running *oldest, *newest;
    size_t running_count;
    const char *enforcement;
    int64_t sampled_ms;
    struct worker worker[WORKERS_MAX];
};

static const enum topic both[2] = {TOPIC_submissions, TOPIC_verdicts};

static int decode(const struct record *rec, struct envelope *env)
{
    struct header headers[BUS_HEADERS_MAX];
    bool has_id;
    struct err err;
    if (rec->header_count > BUS_HEADERS_MAX)
        return -1;
    for (size_t i = 0; i < rec->header_count; i++)
        headers[i] = (struct header){rec->headers[i].name, rec->headers[i].value};
    return envelope_decode(headers, rec->header_count, env, &has_id, &err);
}

/* What is not believed is counted; whether it goes to `dead` is said by the stage that reads it. */
static const char *distrust(struct gateway *gw, enum topic topic, const struct envelope *env,
                            const struct span *value)
{
    const char *why = signing_distrust(&gw->signing, topic, env, value);
    if (why)
        metric_add(METRIC_forged_total, topic_spec(topic)->name, 1);
    return why;
}

/* A record that came after our start tells the broker's clock. */
static void measure_clock(struct tails *tails, const struct record *rec)
{
    struct gateway *gw = tails->gw;
    if (rec->offset < tails->target[0][rec->partition])
        return;
    gw->skew_ms = rec->timestamp_ms - gateway_wall_ns(gw) / 1000000;
    if (gw->skew_ms < 0 && gw->skew_ms > -CLOCK_APART_MS)
        gw->skew_ms = 0; /* we read a moment later */
    if (!gw->skew_known) /* everything below the begins was appended before this record */
        for (int32_t p = 0; p < PARTITIONS; p++)
            if (gw->verdicts.part[p].begin_ms == tails->provisional_ms)
                gw->verdicts.part[p].begin_ms = rec->timestamp_ms;
    gw->skew_known = true;
}

void tails_sent(struct tails *tails, struct project *project, int32_t partition, int64_t offset)
{
    struct unseen *unseen;
    if (tails_passed_at(tails, partition, offset) || !(unseen = malloc(sizeof(*unseen))))
        return;
    *unseen = (struct unseen){.project = project, .offset = offset};
    project->open_tail++;
    if (tails->unseen[partition].first)
        tails->unseen[partition].last->next = unseen;
    else
        tails->unseen[partition].first = unseen;
    tails->unseen[partition].last = unseen;
}

static void drop_unseen(struct tails *tails, int32_t partition, int64_t next_offset)
{
    struct unseen *first;
    while ((first = tails->unseen[partition].first) && first->offset < next_offset) {
        tails->unseen[partition].first = first->next;
        first->project->open_tail--;
        free(first);
    }
}

static void on_submission(struct tails *tails, const struct record *rec)
{
    struct gateway *gw = tails->gw;
    struct envelope env;
    measure_clock(tails, rec);
    drop_unseen(tails, rec->partition, rec->offset + 1);
    if (record_is_probe(rec) || decode(rec, &env) != 0 || env.type != RECORD_submission ||
        !owner_place_fits(&env, rec->partition, rec->timestamp_ms))
        return;
    bool good = env.keyed && !distrust(gw, TOPIC_submissions, &env, NULL);
    sublog_add(&gw->subs, &env, rec->partition, rec->offset, rec->timestamp_ms, good);
    keyring_project(gw->keyring, &env.project)->open_tail++;
}

static void forget_running(struct tails *tails, struct running *run)
{
    table_remove(&tails->running, &run->node);
    free(run);
    tails->running_count--;
}

static struct running *find_running(const struct tails *tails, const struct uuid *id)
{
    for (struct node *node = table_first(&tails->running, table_hash(id->bytes)); node;
         node = table_next(node))
        if (uuid_eq(&OWNER_OF(node, struct running, node)->id, id))
            return OWNER_OF(node, struct running, node);
    return NULL;
}

/* enforcement_mode is what the evidence says; one verdict a second is looked at. */
static void sample_mode(struct tails *tails, const struct verdict_seen *seen)
{
    int64_t now_ms = loop_now_ms(tails->gw->loop);
    if (!seen->value || (tails->sampled_ms && now_ms - tails->sampled_ms < SAMPLE_EVERY_MS))
        return;
    int permissive = verdict_permissive(tails->gw, seen);
    if (permissive < 0)
        return;
    tails->sampled_ms = now_ms;
    tails->enforcement = permissive ? "permissive" : "enforced";
}

static void on_verdict(struct tails *tails, const struct record *rec)
{
    struct gateway *gw = tails->gw;
    struct envelope env;
    if (record_is_probe(rec) || decode(rec, &env) != 0 || env.type != RECORD_verdict ||
        envelope_partition(&env, TOPIC_verdicts) != rec->partition ||
        distrust(gw, TOPIC_verdicts, &env, &rec->value))
        return;
    struct verdict_seen *seen =
        verdictlog_add(&gw->verdicts, &env, rec->value, rec->partition, rec->offset,
                       rec->timestamp_ms, loop_now_ms(gw->loop));
    if (!seen)
        return;
    keyring_project(gw->keyring, &env.project)->open_verdicts++;
    sample_mode(tails, seen);
    submits_verdict(gw->submits, seen);
}

static void on_worker(struct tails *tails, const char *name)
{
    int64_t now_ms = loop_now_ms(tails->gw->loop);
    struct worker *slot = &tails->worker[0];
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        struct worker *worker = &tails->worker[i];
        if (strcmp(worker->name, name) == 0) {
            slot = worker;
            break;
        }
        if (worker->seen_ms < slot->seen_ms)
            slot = worker;
    }
    (void)!span_copy(span_text(name), slot->name, sizeof(slot->name));
    slot->seen_ms = now_ms ? now_ms : 1;
}

static void on_progress(struct tails *tails, const struct record *rec)
{
    struct envelope env;
    if (record_is_probe(rec) || decode(rec, &env) != 0 || env.type != RECORD_progress ||
        !env.times.dequeued)
        return;
    on_worker(tails, env.origin);
    if (find_running(tails, &env.id))
        return;
    struct running *run = calloc(1, sizeof(*run));
    if (!run)
        return;
    run->id = env.id;
    run->started_ns = env.times.dequeued;
    table_add(&tails->running, &run->node, table_hash(run->id.bytes));
    if (tails->newest)
        tails->newest->next = run;
    else
        tails->oldest = run;
    tails->newest = run;
    if (++tails->running_count > RUNNING_MAX) {
        struct running *oldest = tails->oldest;
        tails->oldest = oldest->next;
        forget_running(tails, oldest);
    }
}

/* `control` has no stage: each gateway keeps what it did not believe. */
static void bury(struct tails *tails, const struct record *rec, const char *why)
{
    struct bus_header headers[BUS_HEADERS_MAX + 2];
    struct err err;
    size_t count = rec->header_count <= BUS_HEADERS_MAX ? rec->header_count : 0;
    if (count)
        memcpy(headers, rec->headers, count * sizeof(*headers));
    headers[count++] = (struct bus_header){"dead-why", span_text(why)};
    headers[count++] = (struct bus_header){"dead-topic", span_text(rec->topic)};
    metric_add(METRIC_dead_total, "gateway", 1);
    log_event(LOG_WARN, "control_dead", kv("why", why), kv("partition", rec->partition),
              kv("offset", rec->offset));
    if (producer_send(tails->gw->producer, topic_spec(TOPIC_dead)->name,
                      rec->partition % topic_spec(TOPIC_dead)->partitions, rec->key, headers, count,
                      rec->value, NULL, &err) != 0)
        log_event(LOG_WARN, "dead_not_written", kv_err(&err));
}

static void on_control(struct tails *tails, const struct record *rec)
{
    struct control_event event;
    struct envelope env;
    struct err err;
    if (record_is_probe(rec))
        return;
    const char *why = decode(rec, &env) != 0
                          ? "control: the headers cannot be read"
                          : distrust(tails->gw, TOPIC_control, &env, &rec->value);
    if (why) {
        bury(tails, rec, why);
        return;
    }
    if (control_decode(rec->value, &event, &err) != 0)
        return;
    if (!keyring_apply(tails->gw->keyring, &event)) {
        bury(tails, rec, "at_ns: older than what is known of the project");
        return;
    }
    log_event(LOG_INFO, "control_applied", kv("kind", control_kind_name(event.kind)),
              kv_uuid("project", &event.project));
}

static void on_record(struct tails *tails, const struct record *rec)
{
    enum topic topic;
    if (topic_find(span_text(rec->topic), &topic) != 0 || rec->partition < 0 ||
        rec->partition >= PARTITIONS)
        return;
    tails->pos[topic][rec->partition] = rec->offset + 1;
    if (topic == TOPIC_submissions)
        on_submission(tails, rec);
    else if (topic == TOPIC_verdicts)
        on_verdict(tails, rec);
    else if (topic == TOPIC_progress)
        on_progress(tails, rec);
    else if (topic == TOPIC_control)
        on_control(tails, rec);
}

bool tails_passed(const struct tails *tails, enum topic topic, const int64_t ends[PARTITIONS])
{
    for (int32_t p = 0; p < PARTITIONS; p++)
        if (tails->pos[topic][p] < ends[p])
            return false;
    return true;
}

bool tails_passed_at(const struct tails *tails, int32_t partition, int64_t offset)
{
    return tails->pos[TOPIC_submissions][partition] > offset;
}

static void read_some(struct tails *tails, struct reader *reader)
{
    reader->more = false;
    for (int i = 0; i < BATCH_RECORDS; i++) {
        struct record rec;
        struct err err;
        int got = consumer_poll(reader->consumer, 0, &rec, &err);
        if (got < 0) {
            if (err_class(err.code) == ERR_FATAL)
                gateway_fatal(tails->gw, &err);
            else
                log_event(LOG_WARN, "tail_error", kv_err(&err));
            break;
        }
        if (got == 0)
            break;
        on_record(tails, &rec);
        record_done(&rec);
        reader->more = i + 1 == BATCH_RECORDS;
    }
}

void tails_hurry(struct tails *tails)
{
    if (!tails->hurried)
        consumer_hurry(tails->side.consumer, true);
    tails->hurried = true;
}

static void hurry_no_more(struct tails *tails)
{
    if (!tails->hurried || !tails->caught_up || submits_behind(tails->gw->submits) ||
        lookups_behind(tails->gw->lookups))
        return;
    consumer_hurry(tails->side.consumer, false);
    tails->hurried = false;
}

static int64_t on_turn(void *owner)
{
    struct tails *tails = owner;
    if (tails->prompt.more || tails->side.more) {
        if (tails->side.more)
            read_some(tails, &tails->side);
        if (tails->prompt.more)
            read_some(tails, &tails->prompt);
        if (!tails->caught_up && tails_passed(tails, TOPIC_submissions, tails->target[0]) &&
            tails_passed(tails, TOPIC_verdicts, tails->target[1])) {
            tails->caught_up = true;
            log_event(LOG_INFO, "tails_caught_up");
        }
        submits_tail_moved(tails->gw->submits);
        lookups_tail_moved(tails->gw->lookups);
        hurry_no_more(tails);
    }
    return tails->prompt.more || tails->side.more ? 0 : -1;
}

static void on_ready(struct watch *watch, unsigned events)
{
    (void)events;
    OWNER_OF(watch, struct reader, watch)->more = true;
}

static int take_targets(struct tails *tails, struct err *err)
{
    tails->caught_up = false;
    for (int i = 0; i < 2; i++)
        if (producer_end_offsets(tails->gw->producer, topic_spec(both[i])->name, PARTITIONS,
                                 tails->target[i], ENDS_TIMEOUT_MS, err) != 0)
            return -1;
    return 0;
}

/* An offset outside of the log would hide records: never a silent reset. */
static int check_begins(struct tails *tails, const struct store_offsets *offsets, struct err *err)
{
    for (int i = 0; i < 2; i++) {
        int64_t begins[PARTITIONS];
        const char *name = topic_spec(both[i])->name;
        const int64_t *stored = i ? offsets->persist : offsets->admit;
        if (producer_begin_offsets(tails->gw->producer, name, PARTITIONS, begins, ENDS_TIMEOUT_MS,
                                   err) != 0)
            return -1;
        for (int32_t p = 0; p < PARTITIONS; p++) {
            if (stored[p] < 0)
                return err_set(err, ERR_CONFIG,
                               "consumer_offsets has no row for %s/%d; create the topics' rows "
                               "(ops/up does it)",
                               name, p);
            if (stored[p] < begins[p] || stored[p] > tails->target[i][p])
                return err_set(err, ERR_CONFIG,
                               "the stored offset %lld of %s/%d lies outside of the log (%lld to "
                               "%lld): restore the log or rebuild the database from it",
                               (long long)stored[p], name, p, (long long)begins[p],
                               (long long)tails->target[i][p]);
        }
    }
    return 0;
}

static int open_reader(struct tails *tails, struct reader *reader, int gather_ms,
                       const struct partition_at *parts, size_t count, struct err *err)
{
    struct bus_config bus = tails->gw->bus;
    bus.gather_ms = gather_ms;
    reader->watch = (struct watch){.ready = on_ready, .fd = -1};
    reader->more = true;
    if (tail_open(&bus, parts, count, &reader->consumer, err) != 0)
        return -1;
    return loop_add(tails->gw->loop, &reader->watch, consumer_fd(reader->consumer), EPOLLIN, err);
}

static void close_reader(struct tails *tails, struct reader *reader)
{
    loop_remove(tails->gw->loop, &reader->watch);
    if (reader->consumer)
        consumer_close(reader->consumer);
}

static int open_readers(struct tails *tails, const struct store_offsets *offsets, struct err *err)
{
    static const enum topic topics[] = {TOPIC_verdicts, TOPIC_submissions, TOPIC_progress,
                                        TOPIC_control};
    struct partition_at parts[4 * PARTITIONS];
    size_t count = 0, side = 0;
    for (size_t i = 0; i < 4; i++) {
        const struct topic_spec *spec = topic_spec(topics[i]);
        int64_t ends[PARTITIONS];
        const int64_t *from = i == 0 ? offsets->persist : i == 1 ? offsets->admit : ends;
        if (i > 1 && producer_end_offsets(tails->gw->producer, spec->name, spec->partitions, ends,
                                          ENDS_TIMEOUT_MS, err) != 0)
            return -1;
        for (int32_t p = 0; p < spec->partitions; p++) {
            parts[count++] = (struct partition_at){spec->name, p, from[p]};
            tails->pos[topics[i]][p] = from[p];
        }
        side = i == 0 ? count : side;
    }
    if (open_reader(tails, &tails->prompt, 0, parts, side, err) != 0 ||
        open_reader(tails, &tails->side, GATHER_MS, parts + side, count - side, err) != 0)
        return -1;
    tails_hurry(tails);
    return 0;
}

int tails_open(struct gateway *gw, const struct store_offsets *offsets, struct tails **out,
               struct err *err)
{
    struct tails *tails = calloc(1, sizeof(*tails));
    if (!tails)
        return err_set(err, ERR_NO_MEMORY, "tails");
    tails->gw = gw;
    tails->prompt.watch.fd = tails->side.watch.fd = -1;
    /* What lies below persist's offset was appended before now, by the broker's clock. */
    int64_t begin_ms = gateway_wall_ns(gw) / 1000000 + CLOCK_APART_MS;
    tails->provisional_ms = begin_ms;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        sublog_restart(&gw->subs, p, offsets->admit[p], NULL, NULL);
        verdictlog_restart(&gw->verdicts, p, offsets->persist[p], begin_ms, NULL, NULL);
    }
    if (take_targets(tails, err) != 0 || check_begins(tails, offsets, err) != 0 ||
        open_readers(tails, offsets, err) != 0) {
        tails_close(tails);
        return -1;
    }
    loop_each_turn(gw->loop, on_turn, tails);
    *out = tails;
    return 0;
}

void tails_close(struct tails *tails)
{
    if (!tails)
        return;
    close_reader(tails, &tails->prompt);
    close_reader(tails, &tails->side);
    for (int32_t p = 0; p < PARTITIONS; p++)
        drop_unseen(tails, p, INT64_MAX);
    while (tails->oldest) {
        struct running *run = tails->oldest;
        tails->oldest = run->next;
        forget_running(tails, run);
    }
    free(tails->running.buckets);
    free(tails);
}

bool tails_caught_up(const struct tails *tails)
{
    return tails->caught_up;
}

static void sub_left(void *owner, const struct sub *sub)
{
    keyring_project(((struct gateway *)owner)->keyring, &sub->project)->open_tail--;
}

static void verdict_stored(void *owner, const struct verdict_seen *seen)
{
    keyring_project(((struct gateway *)owner)->keyring, &seen->project)->open_verdicts--;
}

/* A database rebuilt from the log lies behind: read again from there, 503 until caught up. */
static int restart_behind(struct tails *tails, const struct store_offsets *offsets, struct err *err)
{
    struct gateway *gw = tails->gw;
    struct partition_at subs[PARTITIONS], verdicts[PARTITIONS];
    size_t sub_count = 0, verdict_count = 0;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        if (offsets->admit[p] >= 0 && offsets->admit[p] < gw->subs.part[p].begin) {
            sublog_restart(&gw->subs, p, offsets->admit[p], sub_left, gw);
            subs[sub_count++] =
                (struct partition_at){topic_spec(TOPIC_submissions)->name, p, offsets->admit[p]};
            tails->pos[TOPIC_submissions][p] = offsets->admit[p];
        }
        if (offsets->persist[p] >= 0 && offsets->persist[p] < gw->verdicts.part[p].begin) {
            verdictlog_restart(&gw->verdicts, p, offsets->persist[p],
                               gateway_wall_ns(gw) / 1000000 + gw->skew_ms + 1000, verdict_stored,
                               gw);
            verdicts[verdict_count++] =
                (struct partition_at){topic_spec(TOPIC_verdicts)->name, p, offsets->persist[p]};
            tails->pos[TOPIC_verdicts][p] = offsets->persist[p];
        }
    }
    if (sub_count + verdict_count == 0)
        return 0;
    log_event(LOG_WARN, "tails_restarted", kv("partitions", sub_count + verdict_count));
    if (take_targets(tails, err) != 0)
        return -1;
    tails_hurry(tails);
    tails->prompt.more = tails->side.more = true;
    if (sub_count && consumer_seek(tails->side.consumer, subs, sub_count, err) != 0)
        return -1;
    return verdict_count ? consumer_seek(tails->prompt.consumer, verdicts, verdict_count, err) : 0;
}

int tails_offsets(struct tails *tails, const struct store_offsets *offsets, struct err *err)
{
    struct gateway *gw = tails->gw;
    if (restart_behind(tails, offsets, err) != 0)
        return -1;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        sublog_forget(&gw->subs, p, offsets->admit[p], sub_left, gw);
        verdictlog_forget(&gw->verdicts, p, offsets->persist[p], loop_now_ms(gw->loop),
                          verdict_stored, gw);
    }
    return 0;
}

bool tails_running(const struct tails *tails, const struct uuid *id, int64_t *started_ns)
{
    const struct running *run = find_running(tails, id);
    if (run)
        *started_ns = run->started_ns;
    return run != NULL;
}

struct workers tails_workers(const struct tails *tails)
{
    struct workers workers = {.enforcement = tails->enforcement ? tails->enforcement : "unknown"};
    int64_t now_ms = loop_now_ms(tails->gw->loop);
    for (size_t i = 0; i < WORKERS_MAX; i++)
        workers.alive +=
            tails->worker[i].seen_ms && now_ms - tails->worker[i].seen_ms < WORKER_ALIVE_MS;
    return workers;
}
