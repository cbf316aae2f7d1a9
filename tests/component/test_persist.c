/* persist on a real PostgreSQL: first verdict wins, charged once, closed, told; garbage, erased and
 * expired records stall nothing. With RUSTBOX_BENCH_ROWS=n it measures instead. */
#include "lib/metrics/metrics.h"
#include "stage_bench.h"

static void *open_persist(void)
{
    struct err err;
    void *self;
    assert_ok(persist_stage.open(&bench.env, &self, &err), err);
    return self;
}

static void run(void *self, size_t from, size_t to)
{
    struct err err;
    struct mark mark = {TOPIC_verdicts, 3, (int64_t)to};
    assert_ok(bench_run(&persist_stage, self, from, to, &mark, 1, &err), err);
}

static void admit_all(void)
{
    struct err err;
    void *self;
    assert_ok(admit_stage.open(&bench.env, &self, &err), err);
    assert_ok(bench_run(&admit_stage, self, 0, bench.lines, NULL, 0, &err), err);
    admit_stage.close(self);
}

#define COUNT(from) bench_sql("SELECT count(*) FROM rustbox." from)
#define CPU bench_sql("SELECT coalesce(sum(amount), 0) FROM rustbox.usage WHERE kind = 'cpu_ns'")
#define OFFSET                                                                                     \
    bench_sql("SELECT max(next_offset) FROM rustbox.consumer_offsets WHERE topic = 'verdicts'")

static void the_first_verdict_wins_and_is_charged_once(void **state)
{
    (void)state;
    void *self = open_persist(), *former = open_persist();
    bench_submit(PROJECT_FREE, NULL, "a");
    bench_submit(PROJECT_FREE, NULL, "b");
    admit_all();
    assert_int_equal(COUNT("submissions WHERE NOT closed"), 2);
    metrics_reset();
    bench_verdict(&bench.log[0], 0, 1000);
    bench_verdict(&bench.log[0], 0, 5000); /* executed again: other times, same outcome */
    bench_verdict(&bench.log[1], 1, 200);
    bench_verdict(&bench.log[0], 9, 7000); /* another outcome */
    run(self, 2, 6);
    assert_int_equal(COUNT("evidence"), 2);
    assert_int_equal(COUNT("evidence WHERE exit_code = 9"), 0);
    assert_int_equal(CPU, 1200);
    assert_int_equal(COUNT("submissions WHERE closed"), 2);
    assert_int_equal(metric_value(METRIC_verdict_duplicates_total, "same"), 1);
    assert_int_equal(metric_value(METRIC_verdict_duplicates_total, "differs"), 1);
    assert_int_equal(OFFSET, 6);
    run(former, 2, 4); /* a former owner goes on: nothing changes, the offset does not go back */
    assert_int_equal(COUNT("evidence"), 2);
    assert_int_equal(CPU, 1200);
    assert_int_equal(OFFSET, 6);
    persist_stage.close(self);
    persist_stage.close(former);
}

static void odd_records_stall_nothing(void **state)
{
    (void)state;
    struct err err;
    void *self = open_persist();
    bench_submit(PROJECT_FREE, NULL, "good");
    bench_submit(PROJECT_FREE, NULL, "erased");
    bench_submit(PROJECT_FREE, NULL, "garbled");
    bench_submit(PROJECT_FREE, NULL, "headless");
    bench.retention_class = 90;
    bench_submit(PROJECT_FREE, NULL, "expired");
    bench_submit(PROJECT_FREE, NULL, "warm");
    for (size_t i = 0; i < 6; i++)
        bench_verdict(&bench.log[i], 0, 10);
    struct line *erased = &bench.log[7], *garbled = &bench.log[8];
    buf_clear(&erased->value);
    bench_sign_as(erased, "admit");
    garbled->value.data[30] ^= 1;
    bench_sign(garbled);
    bench.log[9].rec.header_count = 3;
    run(self, 11, 12); /* now persist believes that class 90 has the day */
    char sql[200], day[DAY_TEXT];
    day_format(uuid_day(&bench.log[4].env.id), day);
    snprintf(sql, sizeof sql, "SELECT rustbox.drop_partitions(90::smallint, '%s')", day);
    assert_ok(db_script(bench.sql, sql, &err), err);
    run(self, 6, 12);
    assert_int_equal(COUNT("evidence WHERE state = 'stored'"), 1);
    assert_int_equal(COUNT("evidence WHERE state = 'erased' AND sealed IS NULL"), 1);
    assert_int_equal(bench.out.count, 2); /* garbled and headless: dead */
    assert_int_equal(OFFSET, 12);
    assert_int_equal(CPU, 20); /* the day's row of class 90 was charged before it went */
    struct key_id key = {bench_project(PROJECT_FREE), 30, uuid_day(&bench.log[0].env.id),
                         bench.log[0].env.key_number};
    bench.retention_class = 30;
    bench_verdict(bench_submit(PROJECT_FREE, NULL, "late"), 0, 10);
    assert_ok(keystore_destroy_key(bench.ks, &key, &err), err);
    run(self, 13, 14); /* the key is gone: closed without content, not charged */
    assert_int_equal(COUNT("evidence WHERE state = 'erased'"), 2);
    assert_int_equal(CPU, 20);
    persist_stage.close(self);
}

/* Whoever can reach the broker writes true headers of an open id; the real verdict follows. */
static void forged_verdicts_change_nothing(void **state)
{
    (void)state;
    void *self = open_persist();
    bench_submit(PROJECT_FREE, NULL, "open");
    admit_all();
    metrics_reset();
    struct line *forged[8];
    for (size_t i = 0; i < COUNT_OF(forged); i++)
        forged[i] = bench_verdict(&bench.log[0], 9, 1000);
    forged[0]->env.is_signed = false; /* nobody signed */
    forged[0]->env.signer[0] = '\0';
    forged[1]->env.signature[5] ^= 1;
    bench_sign_as(forged[2], "gateway"); /* another's signature makes no verdict */
    bench_sign_as(forged[3], "nobody");
    buf_clear(&forged[4]->value); /* "erased", under true headers */
    forged[5]->value.data[30] ^= 1;
    forged[6]->env.digest[0] ^= 1;
    forged[7]->env.project = bench_project(77); /* has no key directory: would be waited for */
    for (size_t i = 0; i < COUNT_OF(forged); i++)
        bench_headers(forged[i]);
    bench_verdict(&bench.log[0], 3, 10);
    run(self, 1, bench.lines);
    assert_int_equal(bench_dead(), COUNT_OF(forged));
    assert_int_equal(metric_value(METRIC_forged_total, "verdicts"), COUNT_OF(forged));
    assert_int_equal(COUNT("evidence"), 1);
    assert_int_equal(COUNT("evidence WHERE state = 'stored' AND exit_code = 3"), 1);
    assert_int_equal(COUNT("submissions WHERE closed"), 1);
    assert_int_equal(CPU, 10);
    /* The offset waits for the dead letters: a crash now repeats them and loses none. */
    assert_int_equal(OFFSET, 0);
    run(self, bench.lines, bench.lines);
    assert_int_equal(OFFSET, bench.lines);
    persist_stage.close(self);
}

/* Its keys may come back: waited for, and the message says for what. */
static void a_verified_verdict_waits_for_its_keystore(void **state)
{
    (void)state;
    struct err err;
    struct mark mark = {TOPIC_verdicts, 3, 2};
    char id[UUID_TEXT], keys[128], away[128];
    void *self = open_persist();
    bench_verdict(bench_submit(PROJECT_FREE, NULL, "a"), 0, 10);
    snprintf(keys, sizeof keys, "%s/keys/00000000-0000-7000-8000-000000000002", bench.dir);
    snprintf(away, sizeof away, "%s/away", bench.dir);
    assert_int_equal(rename(keys, away), 0);
    assert_err(bench_run(&persist_stage, self, 1, 2, &mark, 1, &err), err, ERR_SYSTEM);
    uuid_format(&bench.log[0].env.id, id);
    assert_non_null(strstr(err.message, id));
    assert_non_null(strstr(err.message, "00000000-0000-7000-8000-000000000002/30/"));
    assert_non_null(strstr(err.message, "mount the keystore"));
    assert_int_equal(rename(away, keys), 0);
    run(self, 1, 2);
    assert_int_equal(COUNT("evidence WHERE state = 'stored'"), 1);
    persist_stage.close(self);
}

/* The log keeps running with a row erased before its verdict came (rule 18). */
static void an_erased_row_stays_erased(void **state)
{
    (void)state;
    struct err err;
    void *self = open_persist();
    bench_submit(PROJECT_FREE, NULL, "a");
    bench_verdict(&bench.log[0], 0, 10);
    run(self, 1, 2);
    assert_ok(db_script(bench.sql,
                        "SET ROLE rustbox_compact; UPDATE rustbox.evidence SET state = 'erased', "
                        "verdict = NULL, sealed = NULL, body_hash = NULL; RESET ROLE",
                        &err),
              err);
    run(self, 1, 2);
    assert_int_equal(COUNT("evidence WHERE state = 'erased'"), 1);
    assert_int_equal(COUNT("evidence WHERE state = 'stored'"), 0);
    assert_int_equal(CPU, 10);
    persist_stage.close(self);
}

static void measure(void **state)
{
    (void)state;
    struct err err;
    const char *wanted = getenv("RUSTBOX_BENCH_ROWS");
    if (!wanted)
        skip();
    void *self = open_persist();
    size_t rows = 0, batches = (size_t)strtoul(wanted, NULL, 10) / 200;
    int64_t spent = 0;
    for (size_t batch = 0; batch < batches; batch++) {
        for (size_t i = 0; i < 200; i++)
            bench_submit(PROJECT_FREE, NULL, "bench");
        admit_all();
        for (size_t i = 0; i < 200; i++)
            bench_verdict(&bench.log[i], 0, 1000);
        struct mark mark = {TOPIC_verdicts, 0, (int64_t)batch};
        int64_t start = clock_system.mono_ns(&clock_system);
        assert_ok(bench_run(&persist_stage, self, 200, 400, &mark, 1, &err), err);
        spent += clock_system.mono_ns(&clock_system) - start;
        rows += 200;
        for (size_t i = 0; i < bench.lines; i++) {
            buf_done(&bench.log[i].value);
            arena_done(&bench.log[i].arena);
        }
        bench.lines = 0;
    }
    printf("persist: %zu rows in %.0f ms: %.0f rows/s\n", rows, (double)spent / 1e6,
           (double)rows * 1e9 / (double)spent);
    persist_stage.close(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_verdict_wins_and_is_charged_once, bench_clean),
        cmocka_unit_test_setup(an_erased_row_stays_erased, bench_clean),
        cmocka_unit_test_setup(odd_records_stall_nothing, bench_clean),
        cmocka_unit_test_setup(forged_verdicts_change_nothing, bench_clean),
        cmocka_unit_test_setup(a_verified_verdict_waits_for_its_keystore, bench_clean),
        cmocka_unit_test_setup(measure, bench_clean),
    };
    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
