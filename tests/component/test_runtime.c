/* The runtime around small stages, on the bus in memory: batches, sources, errors, shutdown. */
#include "tests/component/runtime_bench.h"
#include <fcntl.h>
#include <unistd.h>

/* ---- a stage that copies each record to `verdicts`, with errors on demand ---- */
static struct {
    size_t calls, records, largest, empty_calls;
    int fail_with, fail_times;
    int64_t stored[24]; /* the database's next_offset of submissions */
    int64_t last_store;
    bool add_dead, add_nothing;
} seen;

static int handle(void *self, const struct batch *batch, struct outbox *out, struct err *why)
{
    (void)self;
    seen.calls++;
    seen.empty_calls += batch->count == 0;
    if (batch->count > seen.largest)
        seen.largest = batch->count;
    for (size_t i = 0; i < batch->count && !seen.add_nothing; i++)
        if (seen.add_dead ? outbox_dead(out, &batch->records[i], "a test", why) < 0
                          : add_copy(out, &batch->records[i], why) < 0)
            return -1;
    if (seen.fail_times > 0) {
        seen.fail_times--;
        return err_set(why, (enum err_code)seen.fail_with, "on demand");
    }
    for (size_t i = 0; i < batch->store_count && !(seen.add_dead && batch->count > 0); i++)
        seen.stored[batch->store[i].partition] = seen.last_store = batch->store[i].next_offset;
    seen.records += batch->count;
    return 0;
}

static int load_offsets(void *self, struct mark *marks, size_t count, struct err *why)
{
    (void)self, (void)why;
    for (size_t i = 0; i < count; i++)
        marks[i].next_offset = seen.stored[marks[i].partition];
    return 0;
}

static const struct stage batch_stage = {.name = "copy",
                                         .group = "copy",
                                         .kind = STAGE_BATCH,
                                         .offsets = OFFSETS_KAFKA,
                                         .inputs = inputs,
                                         .input_count = 1,
                                         .outputs = outputs,
                                         .output_count = 1,
                                         .open = open_stage,
                                         .reopen = reopen_stage,
                                         .handle = handle};

/* ---- a source of numbers ---- */
static struct {
    int64_t waiting, taken, marked;
    size_t asked;
    int fail_times; /* of acked */
} well;

static int draw(void *self, const struct batch *batch, struct outbox *out, struct err *why)
{
    struct record rec = {.value = SPAN_LIT("drawn")};
    (void)self;
    assert_int_equal(batch->count, 0);
    well.asked++;
    well.taken = well.waiting - well.marked < 2 ? well.waiting - well.marked : 2;
    for (int64_t i = 0; i < well.taken; i++) {
        rec.offset = well.marked + i;
        if (add_copy(out, &rec, why) < 0)
            return -1;
    }
    return 0;
}

static int drawn(void *self, struct err *why)
{
    (void)self;
    if (well.fail_times-- > 0)
        return err_set(why, ERR_DATABASE, "on demand");
    well.marked += well.taken;
    return 0;
}

static int64_t never_due(void *self)
{
    (void)self;
    return INT64_MAX;
}

static const struct stage source_stage = {.name = "well",
                                          .group = "",
                                          .kind = STAGE_SOURCE,
                                          .outputs = outputs,
                                          .output_count = 1,
                                          .open = open_stage,
                                          .reopen = reopen_stage,
                                          .handle = draw,
                                          .acked = drawn,
                                          .next_due_ms = never_due};

static int before(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    memset(&well, 0, sizeof well);
    reopened = 0;
    bus_memory_reset();
    return 0;
}

static void a_batch_is_at_most_200_and_commits_after_acknowledgement(void **state)
{
    struct runtime *rt = open_runtime(&batch_stage);

    (void)state;
    append(450);
    bus_memory_hold_acks(true);
    turns(rt, 10);
    assert_true(runtime_ready(rt));
    assert_int_equal(seen.records, 200); /* one batch in flight */
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), -1);
    bus_memory_hold_acks(false);
    turns(rt, 10);
    assert_int_equal(seen.records, 450);
    assert_int_equal(seen.largest, 200);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 450);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 450);
    end(rt);
}

static void a_systemic_error_repeats_the_batch_and_skips_nothing(void **state)
{
    struct runtime *rt = open_runtime(&batch_stage);

    (void)state;
    append(1);
    turns(rt, 5);
    append(3);
    seen.fail_with = ERR_DATABASE;
    seen.fail_times = 2;
    turns(rt, 100);
    assert_int_equal(reopened, 2);
    assert_int_equal(seen.records, 4);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 4); /* nothing of the failed attempts left */
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 4);
    end(rt);
}

static void a_failed_delivery_is_sent_again_without_the_stage(void **state)
{
    struct runtime *rt = open_runtime(&batch_stage);

    (void)state;
    append(3);
    bus_memory_fail_deliveries(2, ERR_BROKER);
    turns(rt, 5);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), -1);
    turns(rt, 100);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 3);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 3);
    end(rt);
}

static void a_poll_error_pauses_and_goes_on(void **state)
{
    struct runtime *rt = open_runtime(&batch_stage);

    (void)state;
    append(3);
    turns(rt, 5);
    bus_memory_fail_polls(1, ERR_BROKER);
    append(2);
    turns(rt, 60);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 5);
    end(rt);
}

static void records_of_an_assignment_that_comes_during_recovery_come_again(void **state)
{
    struct runtime *rt = open_runtime(&batch_stage);

    (void)state;
    turns(rt, 5);
    bus_memory_fail_polls(1, ERR_BROKER);
    turns(rt, 1);
    assert_int_equal(bus_memory_paused(TOPIC_submissions), 24);
    bus_memory_rebalance(true);
    append(3);
    turns(rt, 5);
    assert_int_equal(bus_memory_paused(TOPIC_submissions), 0);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    turns(rt, 100);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 3);
    end(rt);
}

static void a_fatal_error_ends_the_process_with_70(void **state)
{
    struct runtime *rt = open_runtime(&batch_stage);

    (void)state;
    append(1);
    seen.fail_with = ERR_BUG;
    seen.fail_times = 1;
    turns(rt, 5);
    assert_false(runtime_turn(rt, 0));
    assert_int_equal(runtime_status(rt), 70);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    runtime_close(rt);
}

static void a_broker_that_is_away_at_start_is_waited_for(void **state)
{
    struct runtime *rt = open_runtime(&batch_stage);

    (void)state;
    bus_memory_fail_topics(2, ERR_BROKER);
    append(1);
    turns(rt, 2);
    assert_false(runtime_ready(rt));
    turns(rt, 100);
    assert_true(runtime_ready(rt));
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 1);
    end(rt);
}

/* Two-phase: what a call may store covers earlier, acknowledged batches alone. */
static void marks_of_a_two_phase_stage_follow_the_acknowledgements(void **state)
{
    struct stage stage = batch_stage;
    struct runtime *rt;

    (void)state;
    stage.offsets = OFFSETS_DATABASE;
    stage.load_offsets = load_offsets;
    seen.stored[3] = 2;
    append(5);
    rt = open_runtime(&stage);
    turns(rt, 4);
    assert_int_equal(seen.records, 3); /* from the stored offset */
    assert_int_equal(seen.stored[3], 2);
    append(2);
    turns(rt, 2);
    assert_int_equal(seen.records, 5);
    assert_int_equal(seen.stored[3], 5); /* the first batch, stored by the second */
    turns(rt, 60);
    assert_int_equal(seen.empty_calls, 1); /* the second, stored alone when idle */
    assert_int_equal(seen.stored[3], 7);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), -1);
    end(rt);
}

static void marks_with_the_batch_cover_it(void **state)
{
    struct stage stage = batch_stage;
    struct runtime *rt;

    (void)state;
    stage.offsets = OFFSETS_DATABASE;
    stage.load_offsets = load_offsets;
    stage.marks_with_batch = true;
    seen.add_nothing = true;
    append(5);
    rt = open_runtime(&stage);
    turns(rt, 4);
    assert_int_equal(seen.stored[3], 5);
    turns(rt, 40);
    assert_int_equal(seen.calls, 1);
    end(rt);
}

/* Also over a crash: what was not acknowledged is read again. */
static void marks_with_the_batch_wait_for_its_dead_letters(void **state)
{
    struct stage stage = batch_stage;
    struct runtime *rt;

    (void)state;
    stage.offsets = OFFSETS_DATABASE;
    stage.load_offsets = load_offsets;
    stage.marks_with_batch = seen.add_dead = true;
    append(5);
    rt = open_runtime(&stage);
    bus_memory_hold_acks(true);
    turns(rt, 40);
    assert_int_equal(seen.records, 5);
    append(2);
    turns(rt, 40);
    assert_int_equal(seen.records, 5); /* the next batch might pass them */
    assert_int_equal(seen.stored[3], 0);
    runtime_close(rt);
    bus_memory_hold_acks(false);
    rt = open_runtime(&stage);
    turns(rt, 60);
    assert_int_equal(seen.records, 12);
    assert_int_equal(seen.stored[3], 7);
    assert_int_equal(seen.empty_calls, 1); /* stored alone when idle */
    end(rt);
}

static void a_stop_stores_the_last_marks(void **state)
{
    struct stage stage = batch_stage;
    struct runtime *rt;

    (void)state;
    stage.offsets = OFFSETS_DATABASE;
    stage.load_offsets = load_offsets;
    append(5);
    rt = open_runtime(&stage);
    turns(rt, 4);
    end(rt);
    assert_int_equal(seen.stored[3], 5);
}

static void a_dead_record_of_the_largest_size_still_fits(void **state)
{
    struct bus_header headers[40];
    char *huge = calloc(1, RECORD_BYTES_MAX + 1000);
    struct runtime *rt;
    const struct record *dead;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        headers[i] = (struct bus_header){"h", span_of(huge, 3000)};
    bus_memory_append(TOPIC_submissions, 7, span_of(huge, 9000), headers, COUNT_OF(headers),
                      span_of(huge, RECORD_BYTES_MAX + 1000));
    seen.add_dead = true;
    rt = open_runtime(&batch_stage);
    turns(rt, 5);
    dead = bus_memory_get(TOPIC_dead, 0);
    assert_non_null(dead);
    assert_int_equal(dead->value.len, RECORD_BYTES_MAX);
    assert_int_equal(dead->key.len, 4096);
    assert_int_equal(dead->partition, 1);
    assert_string_equal(dead->headers[dead->header_count - 1].name, "dead-cut");
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 7), 1);
    end(rt);
    free(huge);
}

static void a_source_marks_after_the_acknowledgement_and_is_asked_again(void **state)
{
    struct runtime *rt = open_runtime(&source_stage);

    (void)state;
    well.waiting = 5;
    bus_memory_hold_acks(true);
    turns(rt, 10);
    assert_true(runtime_ready(rt));
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 2); /* one batch in flight */
    assert_int_equal(well.marked, 0);
    bus_memory_hold_acks(false);
    turns(rt, 20);
    assert_int_equal(well.marked, 5);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 5);
    size_t asked = well.asked;
    turns(rt, 20); /* nothing there: it is left alone until its time */
    assert_int_equal(well.asked, asked);
    end(rt);
}

static void a_source_that_cannot_mark_begins_again(void **state)
{
    struct runtime *rt = open_runtime(&source_stage);

    (void)state;
    well.waiting = 2;
    well.fail_times = 1;
    turns(rt, 100);
    assert_int_equal(reopened, 1);
    assert_int_equal(well.marked, 2);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 4); /* repeated, none skipped */
    end(rt);
}

static void a_stop_waits_for_a_source_and_marks(void **state)
{
    struct runtime *rt = open_runtime(&source_stage);

    (void)state;
    well.waiting = 2;
    bus_memory_hold_acks(true);
    turns(rt, 10);
    runtime_stop(rt);
    turns(rt, 3);
    assert_int_equal(well.marked, 0);
    bus_memory_hold_acks(false);
    end(rt);
    assert_int_equal(well.marked, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, before)
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_at_most_200_and_commits_after_acknowledgement),
        TEST(a_systemic_error_repeats_the_batch_and_skips_nothing),
        TEST(a_failed_delivery_is_sent_again_without_the_stage),
        TEST(a_poll_error_pauses_and_goes_on),
        TEST(records_of_an_assignment_that_comes_during_recovery_come_again),
        TEST(a_fatal_error_ends_the_process_with_70),
        TEST(a_broker_that_is_away_at_start_is_waited_for),
        TEST(marks_of_a_two_phase_stage_follow_the_acknowledgements),
        TEST(marks_with_the_batch_cover_it),
        TEST(marks_with_the_batch_wait_for_its_dead_letters),
        TEST(a_stop_stores_the_last_marks),
        TEST(a_dead_record_of_the_largest_size_still_fits),
        TEST(a_source_marks_after_the_acknowledgement_and_is_asked_again),
        TEST(a_source_that_cannot_mark_begins_again),
        TEST(a_stop_waits_for_a_source_and_marks),
    };

    if (runtime_bench_open() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
