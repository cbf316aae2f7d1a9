/* rustbox balance: is every accepted id closed, or carried by something that will close it
 * (delivery.md rule 29)? The order of reading is the proof: one snapshot (rows, admit's and
 * persist's offsets), then what execute has committed, then jobs from there, then verdicts from
 * persist's offset. An id that moves on meanwhile moves into something that is read later. Only ids
 * below the snapshot's vector are classed. Changes nothing. */
#include "lib/base/strict.h"
#include "producers/cli/admin.h"
#include "producers/cli/balance_rules.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PARTITIONS_MAX 64
#define PAGE_ROWS 20000
#define SCAN_TIMEOUT_MS 600000 /* a page of rows */
#define IDLE_MAX_MS 30000      /* a log whose end does not come */
#define PROGRESS_MS 5000
#define LOST_MAX 100
#define CHEAP_SLACK_MS INT64_C(3600000)

enum { CHEAP, SINCE, MAX_IDS, VERBOSE };
static const struct option options[] = {
    [CHEAP] = {"--cheap", NULL, "only look for open rows that are older than everything unread"},
    [SINCE] = {"--since", "DAY", "only ids of this UTC day and later, like 2026-11-23"},
    [MAX_IDS] = {"--max-ids", "N", "refuse above so many (default 20000000: up to 1.4 GB)"},
    [VERBOSE] = {"--verbose", NULL, "print up to 100 ids that nothing carries"},
};

struct offsets {
    int64_t at[PARTITIONS_MAX];
};

struct dropped_day {
    int64_t class_days;
    int32_t day;
};

struct work {
    struct admin admin;
    struct bus_config bus;
    struct producer *ask; /* a handle that does not consume answers at once */
    struct balance balance;
    struct offsets admitted, persisted;
    struct dropped_day *dropped;
    size_t dropped_count;
    int32_t since;     /* day */
    int64_t oldest_ms; /* id time of the oldest unread record */
    uint64_t unread;   /* records of submissions at or behind the vector */
};

static int64_t mono_ms(void)
{
    return clock_mono_ms(&clock_system);
}

/* ---- the snapshot ---- */

static int read_offsets(struct db *db, enum topic topic, struct offsets *out, struct err *err)
{
    struct db_offset rows[PARTITIONS_MAX];
    const struct topic_spec *spec = topic_spec(topic);
    size_t count;
    if (db_offsets_read(db, spec->name, rows, PARTITIONS_MAX, &count, err))
        return -1;
    if (count != (size_t)spec->partitions)
        return err_set(err, ERR_CONFIG,
                       "consumer_offsets has %zu rows of %s, not %d: run `rustbox admin topics`",
                       count, spec->name, spec->partitions);
    for (size_t i = 0; i < count; i++)
        out->at[rows[i].partition] = rows[i].next_offset;
    return 0;
}

static int read_dropped(struct work *work, struct err *err)
{
    static const struct db_statement select = {
        "balance_dropped", "SELECT class::bigint, day FROM partition_days WHERE dropped"};
    DB_RESULT_AUTO rows = {0};
    if (db_exec(work->admin.db, &select, NULL, 0, &rows, err))
        return -1;
    work->dropped = calloc(db_rows(&rows) + 1, sizeof *work->dropped);
    if (!work->dropped)
        return err_set(err, ERR_NO_MEMORY, "dropped days");
    work->dropped_count = db_rows(&rows);
    for (size_t i = 0; i < work->dropped_count; i++)
        work->dropped[i] = (struct dropped_day){db_get_int(&rows, i, 0), db_get_day(&rows, i, 1)};
    return 0;
}

static bool is_dropped(const struct work *work, const struct envelope *env)
{
    for (size_t i = 0; i < work->dropped_count; i++)
        if (work->dropped[i].class_days == env->retention_class &&
            work->dropped[i].day == uuid_day(&env->id))
            return true;
    return false;
}

static int read_rows(struct work *work, struct err *err)
{
    static const struct db_statement page = {
        "balance_rows",
        "SELECT s.class, s.day, s.id, s.decision, e.state FROM submissions s"
        " LEFT JOIN evidence e ON e.class = s.class AND e.day = s.day AND e.id = s.id"
        " WHERE (s.class, s.day, s.id) > ($1::smallint, $2::date, $3::uuid) AND s.day >= $4::date"
        " ORDER BY s.class, s.day, s.id LIMIT 20000"};
    _Static_assert(PAGE_ROWS == 20000, "as in the statement");
    int64_t class_days = 0;
    int32_t day = work->since;
    struct uuid last = {{0}};
    for (;;) {
        struct db_param params[] = {db_int(class_days), db_day(day), db_uuid(&last),
                                    db_day(work->since)};
        DB_RESULT_AUTO rows = {0};
        if (db_exec(work->admin.db, &page, params, COUNT_OF(params), &rows, err))
            return -1;
        for (size_t i = 0; i < db_rows(&rows); i++) {
            enum row_state state;
            class_days = db_get_int(&rows, i, 0);
            day = db_get_day(&rows, i, 1);
            last = db_get_uuid(&rows, i, 2);
            struct span has = db_is_null(&rows, i, 4) ? span_of(NULL, 0) : db_get_text(&rows, i, 4);
            if (balance_row_state(db_get_text(&rows, i, 3), has, &state, err) ||
                balance_row(&work->balance, &last, state, err))
                return -1;
        }
        if (db_rows(&rows) < PAGE_ROWS)
            return 0;
    }
}

static int begin_snapshot(struct work *work, struct err *err)
{
    struct db *db = work->admin.db;
    if (db_begin(db, err) ||
        db_script(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", err))
        return -1;
    return read_offsets(db, TOPIC_submissions, &work->admitted, err) ||
                   read_offsets(db, TOPIC_verdicts, &work->persisted, err)
               ? -1
               : 0;
}

/* ---- the logs ---- */

typedef int record_fn(struct work *work, const struct envelope *env, struct err *err);

static void decode(const struct record *rec, struct envelope *env, bool *has_id)
{
    struct header headers[BUS_HEADERS_MAX];
    struct err ignored; /* what cannot be read has no id, or is classed like any other */
    size_t count = rec->header_count <= BUS_HEADERS_MAX ? rec->header_count : 0;
    for (size_t i = 0; i < count; i++)
        headers[i] = (struct header){rec->headers[i].name, rec->headers[i].value};
    if (envelope_decode(headers, count, env, has_id, &ignored) && !*has_id)
        *env = (struct envelope){.type = RECORD_COUNT};
}

static int one_record(struct work *work, const struct record *rec, const struct offsets *to,
                      record_fn *fn, struct err *err)
{
    struct envelope env;
    bool has_id;
    if (rec->offset >= to->at[rec->partition])
        return 0;
    decode(rec, &env, &has_id);
    return has_id && uuid_day(&env.id) >= work->since ? fn(work, &env, err) : 0;
}

/* Reads until every partition has reached its end; *left counts those that have not. */
static int read_tail(struct work *work, struct consumer *tail, const char *topic,
                     const struct offsets *to, size_t left, record_fn *fn, struct err *err)
{
    int64_t last_ms = mono_ms(), told_ms = last_ms;
    uint64_t records = 0;
    bool done[PARTITIONS_MAX] = {false};
    while (left > 0) {
        struct record rec;
        int got = consumer_poll(tail, 1000, &rec, err);
        int64_t now_ms = mono_ms();
        if (got < 0)
            return -1;
        if (now_ms - told_ms >= PROGRESS_MS) {
            fprintf(stderr, "balance: %s: %llu records, %zu partitions to go\n", topic,
                    (unsigned long long)records, left);
            told_ms = now_ms;
        }
        if (got == 0 && now_ms - last_ms > IDLE_MAX_MS)
            return err_set(err, ERR_BROKER,
                           "%s: the end of %zu partitions was not reached within %d s", topic, left,
                           IDLE_MAX_MS / 1000);
        if (got == 0)
            continue;
        last_ms = now_ms;
        records++;
        int failed = record_is_probe(&rec) ? 0 : one_record(work, &rec, to, fn, err);
        if (!failed && !done[rec.partition] && rec.offset + 1 >= to->at[rec.partition]) {
            done[rec.partition] = true;
            left--;
            failed = consumer_pause(tail, topic, rec.partition, err);
        }
        record_done(&rec);
        if (failed)
            return -1;
    }
    return 0;
}

/* Records [from, to) of a topic. from below the log's begin starts there; to NULL: its present end.
 */
static int scan(struct work *work, enum topic topic, const struct offsets *from,
                const struct offsets *to, record_fn *fn, struct err *err)
{
    const struct topic_spec *spec = topic_spec(topic);
    struct partition_at parts[PARTITIONS_MAX];
    struct offsets begin, end;
    size_t count = 0;
    CHECK(spec->partitions <= PARTITIONS_MAX);
    if (producer_begin_offsets(work->ask, spec->name, spec->partitions, begin.at, 10000, err) ||
        producer_end_offsets(work->ask, spec->name, spec->partitions, end.at, 10000, err))
        return -1;
    if (to)
        end = *to;
    for (int32_t i = 0; i < spec->partitions; i++) {
        int64_t start = from && from->at[i] > begin.at[i] ? from->at[i] : begin.at[i];
        if (start < end.at[i])
            parts[count++] = (struct partition_at){spec->name, i, start};
    }
    struct consumer *tail;
    if (count == 0)
        return 0;
    if (tail_open(&work->bus, parts, count, &tail, err))
        return -1;
    int failed = read_tail(work, tail, spec->name, &end, count, fn, err);
    consumer_close(tail);
    return failed;
}

static int on_accepted(struct work *work, const struct envelope *env, struct err *err)
{
    return balance_accepted(&work->balance, &env->id, is_dropped(work, env), err);
}

static int on_carrier(struct work *work, const struct envelope *env, struct err *err)
{
    return balance_carrier(&work->balance, &env->id, err);
}

static int on_dead(struct work *work, const struct envelope *env, struct err *err)
{
    return balance_dead(&work->balance, &env->id, err);
}

static int on_unread(struct work *work, const struct envelope *env, struct err *err)
{
    (void)err;
    if (uuid_ms(&env->id) < work->oldest_ms)
        work->oldest_ms = uuid_ms(&env->id);
    return 0;
}

/* Jobs that execute has not committed, then verdicts that persist has not stored, in this order. */
static int scan_carriers(struct work *work, record_fn *fn, struct err *err)
{
    static const enum topic lanes[] = {TOPIC_jobs_interactive, TOPIC_jobs_batch};
    struct offsets committed[COUNT_OF(lanes)];
    for (size_t i = 0; i < COUNT_OF(lanes); i++)
        if (bus_committed(&work->bus, GROUP_EXECUTE, topic_spec(lanes[i])->name,
                          topic_spec(lanes[i])->partitions, committed[i].at, 10000, err))
            return -1;
    for (size_t i = 0; i < COUNT_OF(lanes); i++)
        if (scan(work, lanes[i], &committed[i], NULL, fn, err))
            return -1;
    return scan(work, TOPIC_verdicts, &work->persisted, NULL, fn, err);
}

static int count_unread(struct work *work, struct err *err)
{
    const struct topic_spec *spec = topic_spec(TOPIC_submissions);
    struct offsets end;
    if (producer_end_offsets(work->ask, spec->name, spec->partitions, end.at, 10000, err))
        return -1;
    for (int32_t i = 0; i < spec->partitions; i++)
        if (end.at[i] > work->admitted.at[i])
            work->unread += (uint64_t)(end.at[i] - work->admitted.at[i]);
    return 0;
}

/* ---- the two forms ---- */

static int full(struct work *work, struct err *err)
{
    if (begin_snapshot(work, err) || read_dropped(work, err) || read_rows(work, err) ||
        db_commit(work->admin.db, err) || scan_carriers(work, on_carrier, err) ||
        scan(work, TOPIC_dead, NULL, NULL, on_dead, err) ||
        scan(work, TOPIC_submissions, NULL, &work->admitted, on_accepted, err))
        return -1;
    return count_unread(work, err);
}

static void print_lost(const struct uuid *lost, size_t count, bool json)
{
    for (size_t i = 0; i < count; i++) {
        char id[UUID_TEXT];
        uuid_format(&lost[i], id);
        if (json)
            printf("%s\"%s\"", i ? "," : "", id);
        else
            printf("lost        %s\n", id);
    }
}

static void print_full(const struct args *args, const struct work *work,
                       const struct balance_count *count, const struct uuid *lost)
{
    const struct {
        const char *name;
        uint64_t value;
    } lines[] = {{"accepted", count->accepted},   {"finished", count->finished},
                 {"alias", count->alias},         {"erased", count->erased},
                 {"expired", count->expired},     {"dead", count->dead},
                 {"in_flight", count->in_flight}, {"held", count->held},
                 {"unread", work->unread},        {"difference", count->difference}};
    size_t shown = count->difference < LOST_MAX ? (size_t)count->difference : LOST_MAX;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        unsigned long long value = lines[i].value;
        if (args->json)
            printf("%s\"%s\":%llu", i ? "," : "{", lines[i].name, value);
        else
            printf("%-11s %llu\n", lines[i].name, value);
    }
    if (args->json && args->value[VERBOSE])
        printf(",\"lost\":[");
    if (args->value[VERBOSE])
        print_lost(lost, shown, args->json);
    if (args->json)
        printf("%s}\n", args->value[VERBOSE] ? "]" : "");
}

static int run_full(const struct args *args, struct work *work, int *exit_code, struct err *err)
{
    struct uuid lost[LOST_MAX];
    if (full(work, err))
        return -1;
    struct balance_count count = balance_classes(&work->balance, lost, LOST_MAX);
    print_full(args, work, &count, lost);
    *exit_code = count.difference ? EXIT_RE : EXIT_AC;
    return 0;
}

/* Candidates first, what is unread after them: the other way round a job could pass between the
 * two. */
static int run_cheap(const struct args *args, struct work *work, int *exit_code, struct err *err)
{
    static const struct db_statement select = {
        "balance_cheap",
        "SELECT id, created_at FROM submissions WHERE NOT closed"
        " AND decision NOT IN ('held', 'alias', 'erased')"
        " AND created_at < now() - interval '1 hour' ORDER BY created_at LIMIT 1000"};
    DB_RESULT_AUTO rows = {0};
    struct uuid lost[LOST_MAX];
    size_t count = 0;
    if (begin_snapshot(work, err) || db_exec(work->admin.db, &select, NULL, 0, &rows, err) ||
        db_commit(work->admin.db, err))
        return -1;
    if (db_rows(&rows) > 0 &&
        (scan_carriers(work, on_unread, err) ||
         scan(work, TOPIC_submissions, &work->admitted, NULL, on_unread, err)))
        return -1;
    for (size_t i = 0; i < db_rows(&rows); i++)
        if (db_get_time_ns(&rows, i, 1) / 1000000 < work->oldest_ms - CHEAP_SLACK_MS) {
            if (count < LOST_MAX)
                lost[count] = db_get_uuid(&rows, i, 0);
            count++;
        }
    printf(args->json ? "{\"cheap\":true,\"difference\":%zu" : "difference  %zu (cheap form)\n",
           count);
    if (args->json)
        printf(args->value[VERBOSE] ? ",\"lost\":[" : "}\n");
    if (args->value[VERBOSE])
        print_lost(lost, count < LOST_MAX ? count : LOST_MAX, args->json);
    if (args->json && args->value[VERBOSE])
        printf("]}\n");
    *exit_code = count ? EXIT_RE : EXIT_AC;
    return 0;
}

static void ignore_delivery(void *owner, const struct delivery *delivery)
{
    (void)owner;
    (void)delivery;
}

static int open_work(const struct args *args, struct work *work, int *exit_code, struct err *err)
{
    int64_t max_ids;
    *exit_code = EXIT_USAGE;
    if (option_number(args, MAX_IDS, "--max-ids", 20000000, INT64_C(1) << 40, &max_ids, err))
        return -1;
    if (args->value[SINCE] && day_parse(args->value[SINCE], &work->since))
        return err_set(err, ERR_CONFIG, "--since must be a day like 2026-11-23");
    *exit_code = EXIT_FAILED;
    balance_init(&work->balance, (size_t)max_ids);
    work->oldest_ms = clock_wall_ms(&clock_system);
    if (admin_open(args, SETTING_db_url_balance, SCAN_TIMEOUT_MS, &work->admin, err))
        return -1;
    work->bus = admin_bus(work->admin.config);
    return producer_open(&work->bus, ignore_delivery, NULL, &work->ask, err);
}

static int run(const struct args *args, int *exit_code, struct err *err)
{
    struct work work = {.since = 0};
    int failed = open_work(args, &work, exit_code, err);
    if (!failed)
        failed = args->value[CHEAP] ? run_cheap(args, &work, exit_code, err)
                                    : run_full(args, &work, exit_code, err);
    if (work.ask)
        producer_close(work.ask);
    free(work.dropped);
    balance_done(&work.balance);
    admin_close(&work.admin);
    return failed;
}

const struct verb verb_balance = {
    .name = "balance",
    .positional = "",
    .summary = "is every accepted submission closed or carried? 0 = yes",
    .details = "accepted    distinct ids in the log of submissions, up to what admit has stored\n"
               "finished    a verdict is stored (rejections and cancellations included)\n"
               "alias       repeats of an Idempotency-Key      erased   erased on request\n"
               "expired     their day's retention has ended    dead     records of a wrong day\n"
               "in_flight   open ids found in jobs or verdicts that nobody has finished reading; "
               "held: of these,\n"
               "            waiting for their turn\n"
               "unread      records that admit has not stored yet: not classed\n"
               "difference  open ids that nothing carries: lost. Must be 0\n"
               "Memory: 23 to 70 bytes an id; --max-ids bounds it, --since needs less.",
    .options = options,
    .option_count = COUNT_OF(options),
    .run = run,
};
