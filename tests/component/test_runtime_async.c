/* The runtime around a stage with tickets, on the bus in memory: low-water mark, pausing,
 * rebalances, shutdown. */
#include "tests/component/runtime_bench.h"

/* ---- a stage that keeps tickets until told ---- */
#define ROOM 4
static struct {
    struct ticket *tickets[ROOM];
    int64_t offsets[ROOM];
    size_t count, started, revoked;
    int fail_times;
    int64_t asked_ms;
} desk;

static enum stage_start start(void *self, struct ticket *ticket, const struct record *rec,
                              struct err *why)
{
    (void)self;
    if (desk.count == ROOM)
        return STAGE_FULL;
    if (desk.fail_times > 0) {
        desk.fail_times--;
        err_set(why, ERR_LAUNCHER, "on demand");
        return STAGE_ERROR;
    }
    if (add_copy(ticket_outbox(ticket), rec, why) < 0)
        return STAGE_ERROR;
    desk.tickets[desk.count] = ticket;
    desk.offsets[desk.count++] = rec->offset;
    desk.started++;
    return STAGE_STARTED;
}

static int ready(void *self, struct err *why)
{
    (void)self, (void)why;
    desk.asked_ms = clock_mono_ms(&clock_system);
    return 0;
}

static void revoked(void *self, struct ticket *const *tickets, size_t count)
{
    (void)self, (void)tickets;
    assert_int_equal(count, desk.count);
    desk.revoked += count;
    desk.count = 0;
}

static size_t draining(void *self)
{
    (void)self;
    return desk.count;
}

static int64_t soon_due(void *self)
{
    (void)self;
    return desk.asked_ms + 4;
}

static const struct stage async_stage = {.name = "desk",
                                         .group = "desk",
                                         .kind = STAGE_ASYNC,
                                         .offsets = OFFSETS_KAFKA,
                                         .inputs = inputs,
                                         .input_count = 1,
                                         .outputs = outputs,
                                         .output_count = 1,
                                         .open = open_stage,
                                         .reopen = reopen_stage,
                                         .start = start,
                                         .ready = ready,
                                         .next_due_ms = soon_due,
                                         .revoked = revoked,
                                         .draining = draining};

static void finish(int64_t offset)
{
    for (size_t i = 0; i < desk.count; i++)
        if (desk.offsets[i] == offset) {
            ticket_finish(desk.tickets[i]);
            desk.count--;
            desk.tickets[i] = desk.tickets[desk.count];
            desk.offsets[i] = desk.offsets[desk.count];
            return;
        }
    fail_msg("no ticket of offset %ld", (long)offset);
}

static void linger(int64_t offset, int64_t linger_ms)
{
    for (size_t i = 0; i < desk.count; i++)
        if (desk.offsets[i] == offset)
            ticket_linger(desk.tickets[i], linger_ms);
    finish(offset);
}

static int before(void **state)
{
    (void)state;
    memset(&desk, 0, sizeof desk);
    reopened = 0;
    bus_memory_reset();
    return 0;
}

static void tickets_commit_the_contiguous_low_water_mark(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(3);
    turns(rt, 3);
    assert_int_equal(desk.count, 3);
    finish(2);
    finish(1);
    settle(rt);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 2);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 0); /* 0 is open */
    finish(0);
    settle(rt);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 3);
    end(rt);
}

static void a_mark_waits_for_the_outputs_acknowledgement(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(1);
    turns(rt, 3);
    bus_memory_hold_acks(true);
    finish(0);
    settle(rt);
    assert_true(bus_memory_committed(TOPIC_submissions, 3) <= 0);
    bus_memory_hold_acks(false);
    settle(rt);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 1);
    end(rt);
}

static void without_room_the_topic_is_paused_and_nothing_is_lost(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(10);
    turns(rt, 5);
    assert_int_equal(desk.started, ROOM);
    assert_int_equal(bus_memory_paused(TOPIC_submissions), 24);
    for (int64_t offset = 0; offset < 10; offset++) {
        finish(offset);
        settle(rt);
    }
    assert_int_equal(bus_memory_paused(TOPIC_submissions), 0);
    assert_int_equal(desk.started, 10);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 10);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 10);
    end(rt);
}

static void revoked_tickets_are_abandoned_and_read_again(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(3);
    turns(rt, 3);
    finish(0);
    turns(rt, 2); /* acknowledged, perhaps not yet committed */
    bus_memory_rebalance(false);
    turns(rt, 5);
    assert_int_equal(desk.revoked, 2);
    assert_true(bus_memory_committed(TOPIC_submissions, 3) >= 1);
    assert_int_equal(desk.started, 5);
    finish(1);
    finish(2);
    settle(rt);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 3);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 3);
    end(rt);
}

static void nobody_waits_for_a_commit(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(3);
    turns(rt, 3);
    bus_memory_hold_commits(true);
    finish(0);
    settle(rt); /* a commit is open, and stays so */
    finish(1);
    finish(2);
    append(1);
    settle(rt);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 3);
    assert_int_equal(desk.started, 4);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), -1);
    bus_memory_hold_commits(false);
    settle(rt);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 3);
    finish(3);
    end(rt);
}

static void an_error_of_start_repeats_what_is_open(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(2);
    turns(rt, 3);
    desk.fail_times = 1;
    append(1);
    turns(rt, 60);
    assert_int_equal(desk.revoked, 2);
    assert_int_equal(reopened, 1);
    assert_int_equal(desk.count, 3);
    for (int64_t offset = 0; offset < 3; offset++)
        finish(offset);
    turns(rt, 20);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 3);
    end(rt);
}

static void a_failed_commit_is_made_up_for(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(2);
    bus_memory_fail_commits(1, ERR_BROKER);
    turns(rt, 3);
    finish(0);
    turns(rt, 300);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 1);
    end(rt);
}

static void a_stop_waits_for_open_tickets_and_commits(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(2);
    turns(rt, 3);
    runtime_stop(rt);
    append(1);
    turns(rt, 5);
    assert_int_equal(desk.started, 2);
    finish(0);
    finish(1);
    end(rt);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 2);
}

static void what_lingers_goes_with_the_next_of_its_partition(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(3);
    turns(rt, 3);
    linger(0, 60000);
    linger(1, 60000);
    int64_t begin_ms = clock_mono_ms(&clock_system);
    turns(rt, 20);
    assert_true(clock_mono_ms(&clock_system) - begin_ms >= 40); /* nor is the loop kept busy */
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    finish(2);
    settle(rt);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 3);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 3);
    end(rt);
}

static void what_lingers_goes_alone_when_its_time_is_over(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(18);
    turns(rt, 3);
    for (int64_t offset = 0; offset < 15; offset++, turns(rt, 3))
        finish(offset);
    linger(15, 500);
    finish(16); /* of the next 16 ms, another partition */
    turns(rt, 20);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 16);
    assert_true(bus_memory_committed(TOPIC_submissions, 3) <= 15);
    for (int i = 0; i < 1000 && bus_memory_count(TOPIC_verdicts) < 17; i++)
        turns(rt, 1);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 17);
    finish(17);
    end(rt);
}

static void what_lingers_is_read_again_after_a_rebalance(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(1);
    turns(rt, 3);
    linger(0, 60000);
    bus_memory_rebalance(false);
    turns(rt, 10);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 0);
    assert_int_equal(desk.started, 2);
    finish(0);
    settle(rt);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 1);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 1);
    end(rt);
}

static void a_stop_waits_for_nothing_that_lingers(void **state)
{
    struct runtime *rt = open_runtime(&async_stage);

    (void)state;
    append(1);
    turns(rt, 3);
    linger(0, 60000);
    end(rt);
    assert_int_equal(bus_memory_count(TOPIC_verdicts), 1);
    assert_int_equal(bus_memory_committed(TOPIC_submissions, 3), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, before)
    const struct CMUnitTest tests[] = {
        TEST(tickets_commit_the_contiguous_low_water_mark),
        TEST(a_mark_waits_for_the_outputs_acknowledgement),
        TEST(without_room_the_topic_is_paused_and_nothing_is_lost),
        TEST(revoked_tickets_are_abandoned_and_read_again),
        TEST(nobody_waits_for_a_commit),
        TEST(an_error_of_start_repeats_what_is_open),
        TEST(a_failed_commit_is_made_up_for),
        TEST(a_stop_waits_for_open_tickets_and_commits),
        TEST(what_lingers_goes_with_the_next_of_its_partition),
        TEST(what_lingers_goes_alone_when_its_time_is_over),
        TEST(what_lingers_is_read_again_after_a_rebalance),
        TEST(a_stop_waits_for_nothing_that_lingers),
    };

    if (runtime_bench_open() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
