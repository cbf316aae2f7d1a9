/* admit on a real PostgreSQL: what every kind of record becomes, and that nothing is lost or
 * doubled when a batch comes again, in another process, or through a broken connection. */
#include "stage_bench.h"

#include "lib/metrics/metrics.h"

static void *open_admit(void)
{
    struct err err;
    void *self;
    assert_ok(admit_stage.open(&bench.env, &self, &err), err);
    return self;
}

static void run(void *self, size_t from, size_t to)
{
    struct err err;
    assert_ok(bench_run(&admit_stage, self, from, to, NULL, 0, &err), err);
}

#define ROWS(where) bench_sql("SELECT count(*) FROM rustbox.submissions WHERE " where)
#define REQUESTS "SELECT coalesce(sum(amount), 0) FROM rustbox.usage WHERE kind = 'requests'"

static void every_kind_in_one_batch(void **state)
{
    (void)state;
    void *self = open_admit();
    struct line *good = bench_submit(PROJECT_FREE, NULL, "print(1)");
    struct line *forged = bench_submit(PROJECT_FREE, "k", "print(2)");
    forged->env.signature[0] ^= 1;
    bench_headers(forged);
    struct line *owner = bench_submit(PROJECT_FREE, "k", "print(3)"); /* forged never owns */
    struct line *differs = bench_submit(PROJECT_FREE, NULL, "print(4)");
    differs->value.data[20] ^= 1;
    struct line *misplaced = bench_submit(PROJECT_FREE, NULL, "print(5)");
    misplaced->rec.partition = (misplaced->rec.partition + 1) % 24;
    misplaced->rec.offset = 1000;
    struct line *unknown = bench_submit(9, NULL, "print(6)");
    struct line *other_day = bench_submit(PROJECT_FREE, NULL, "print(7)");
    other_day->rec.timestamp_ms += 2 * DAY_MS;
    struct line *garbage = bench_submit(PROJECT_FREE, NULL, "print(8)");
    garbage->rec.header_count = 2;
    struct line *empty = bench_submit(PROJECT_FREE, NULL, "");
    struct line *alias = bench_submit(PROJECT_FREE, "k", "print(3)");
    struct line *conflict = bench_submit(PROJECT_FREE, "k", "print(33)");
    struct line *copy = bench_copy(good, "print('other body')");
    struct line *nowhere = bench_submit(PROJECT_FREE, NULL, "print(10)"); /* forged, without keys */
    nowhere->env.project = bench_project(77);
    bench_headers(nowhere);
    struct line *probe = bench_submit(PROJECT_FREE, NULL, "print(9)");
    probe->env = (struct envelope){.type = RECORD_probe, .version = 1};
    bench_headers(probe);
    run(self, 0, bench.lines);

    assert_int_equal(bench_outputs(good, TOPIC_jobs_interactive), 1); /* not the copy's */
    assert_int_equal(bench_outputs(owner, TOPIC_jobs_interactive), 1);
    assert_int_equal(bench_cause(forged), CAUSE_ie_rejected_invalid);
    assert_int_equal(bench_cause(misplaced), CAUSE_ie_rejected_invalid);
    assert_int_equal(bench_cause(unknown), CAUSE_ie_rejected_invalid);
    assert_int_equal(bench_cause(empty), CAUSE_ie_rejected_invalid);
    assert_int_equal(bench_cause(differs), CAUSE_ie_unreadable);
    assert_int_equal(bench_cause(conflict), CAUSE_ie_rejected_conflict);
    assert_int_equal(bench_outputs(alias, TOPIC_jobs_interactive), 0);
    assert_int_equal(bench_outputs(alias, TOPIC_verdicts), 0);
    assert_int_equal(bench_dead(), 3); /* wrong day, garbage, nowhere */
    assert_int_equal(bench.out.count, 2 + 6 + 3);
    for (size_t i = 0; i < bench.out.count; i++) {
        struct output *item = &bench.out.items[i];
        struct span value = buf_span(&item->value);
        if (!item->dead)
            assert_null(signing_distrust(&bench.signing, item->topic, &item->env, &value));
    }
    assert_int_equal(ROWS("true"), 9);
    assert_int_equal(ROWS("decision = 'alias' AND closed AND owner_id IS NOT NULL"), 1);
    assert_int_equal(ROWS("decision = 'rejected' AND key_hash IS NULL"), 4);
    assert_int_equal(ROWS("decision = 'rejected' AND message LIKE 'signature:%'"), 1);
    assert_int_equal(ROWS("decision = 'rejected' AND message LIKE 'project:%'"), 1);
    assert_int_equal(ROWS("key_hash IS NOT NULL"), 1);
    assert_int_equal(bench_sql(REQUESTS), 2);
    struct output *job = &bench.out.items[0];
    assert_true(span_eq(buf_span(&job->value), good->rec.value)); /* the value travels unchanged */
    assert_true(job->env.type == RECORD_job && job->env.times.admitted > 0);
    (void)copy;
    admit_stage.close(self);
}

/* Rule 10: a crash between transaction 1 and the advance; then two processes at once (a former
 * owner). */
static void a_batch_comes_again(void **state)
{
    (void)state;
    void *first = open_admit(), *second = open_admit();
    struct line *good = bench_submit(PROJECT_TRIAL, "k", "print(1)");
    struct line *alias = bench_submit(PROJECT_TRIAL, "k", "print(1)");
    struct line *bad = bench_submit(PROJECT_TRIAL, NULL, "");
    run(first, 0, 3);
    for (int i = 0; i < 2; i++) {
        run(i ? first : second, 0, 3);
        assert_int_equal(bench_outputs(good, TOPIC_jobs_interactive), 1);
        assert_int_equal(bench_cause(bad), CAUSE_ie_rejected_invalid);
        assert_int_equal(bench.out.count, 2);
    }
    assert_int_equal(bench_sql(REQUESTS), 1);
    assert_int_equal(ROWS("true"), 3);
    struct line *later = bench_copy(good, "print(2)"); /* the key's partition: a late copy */
    run(second, 3, 4);
    assert_int_equal(bench.out.count, 0);
    (void)later;
    (void)alias;
    admit_stage.close(first);
    admit_stage.close(second);
}

/* A list finds a day by its row of requests (migration 0005). */
static void a_day_on_which_nothing_counted_is_named(void **state)
{
    (void)state;
    void *self = open_admit();
    bench_submit(PROJECT_TRIAL, NULL, "");
    for (int i = 0; i < 2; i++) {
        run(self, 0, 1);
        assert_int_equal(ROWS("decision = 'rejected' AND EXISTS (SELECT FROM rustbox.usage u WHERE "
                              "u.project_id = submissions.project_id AND "
                              "u.day = submissions.day AND kind = 'requests' AND amount = 0)"),
                         1);
    }
    admit_stage.close(self);
}

/* A raised quota, a changed plan: the stored decision stands. */
static void the_stored_decision_stands(void **state)
{
    (void)state;
    struct err err;
    void *self = open_admit();
    assert_ok(
        db_script(bench.sql,
                  "INSERT INTO rustbox.usage SELECT '00000000-0000-7000-8000-000000000001', d, "
                  "'requests', 998 FROM generate_series(current_date - 1, current_date + 1, "
                  "interval '1 day') d",
                  &err),
        err);
    for (int i = 0; i < 5; i++)
        bench_submit(PROJECT_TRIAL, NULL, "print(1)");
    run(self, 0, 5);
    assert_int_equal(ROWS("decision = 'admit'"), 2);
    assert_int_equal(
        ROWS("cause = 'ie_rejected_quota' AND message LIKE 'requests:%1000 a UTC day'"), 3);
    assert_int_equal(bench_cause(&bench.log[4]), CAUSE_ie_rejected_quota);
    assert_ok(db_script(bench.sql, "UPDATE rustbox.projects SET plan = 'unlimited'", &err), err);
    run(self, 0, 5);
    assert_int_equal(bench_outputs(&bench.log[1], TOPIC_jobs_interactive), 1);
    assert_int_equal(bench_cause(&bench.log[4]), CAUSE_ie_rejected_quota);
    assert_int_equal(bench_sql("SELECT sum(amount) FROM rustbox.usage WHERE day = (SELECT min(day) "
                               "FROM rustbox.submissions) AND kind = 'requests'"),
                     1000);
    admit_stage.close(self);
}

/* What the reads could not know: a budget used up, or a row stored, before the writes. */
static void what_moves_meanwhile_is_decided_again(void **state)
{
    (void)state;
    struct err err;
    void *self = open_admit();
    assert_ok(
        db_script(bench.sql,
                  "CREATE TABLE public.armed (a int); GRANT ALL ON public.armed TO PUBLIC; "
                  "CREATE SEQUENCE public.fired; GRANT ALL ON SEQUENCE public.fired TO PUBLIC; "
                  "CREATE FUNCTION public.steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                  "IF nextval('public.fired') = 1 THEN NEW.amount := NULL; END IF; "
                  "RETURN NEW; END $$; CREATE TRIGGER steal BEFORE INSERT ON rustbox.usage FOR "
                  "EACH ROW EXECUTE FUNCTION public.steal()",
                  &err),
        err);
    struct line *line = bench_submit(PROJECT_TRIAL, NULL, "print(1)");
    run(self, 0, 1);
    assert_int_equal(bench_outputs(line, TOPIC_jobs_interactive), 1);
    assert_int_equal(bench_sql(REQUESTS), 1);
    assert_true(bench_sql("SELECT last_value FROM public.fired") > 2);
    assert_ok(db_script(bench.sql,
                        "DROP TRIGGER steal ON rustbox.usage; DROP FUNCTION public.steal; "
                        "DROP SEQUENCE public.fired; DROP TABLE public.armed",
                        &err),
              err);
    admit_stage.close(self);
}

static int64_t still(const struct clock *clock)
{
    (void)clock;
    return 1000000000;
}

/* What admit knew a moment ago is relied on, and a wrong guess stores and produces nothing wrong.
 */
static void a_wrong_guess_is_decided_again(void **state)
{
    (void)state;
    struct err err;
    bench.clock.mono_ns = still;
    void *first = open_admit(), *second = open_admit();
    for (int i = 0; i < 6; i++)
        bench_submit(PROJECT_TRIAL, NULL, "print(1)");
    run(first, 0, 1);
    run(second, 1, 2);
    uint64_t redone = metric_value(METRIC_transactions_redone_total, "admit");
    run(first, 2, 3); /* the guess is right */
    assert_int_equal(metric_value(METRIC_transactions_redone_total, "admit"), redone);
    run(first, 1, 2); /* the row is there: its own record repeats its decision */
    assert_int_equal(metric_value(METRIC_transactions_redone_total, "admit"), redone + 1);
    assert_int_equal(bench_outputs(&bench.log[1], TOPIC_jobs_interactive), 1);
    assert_int_equal(bench_sql(REQUESTS), 3);
    run(first, 0, 1);
    assert_ok(
        db_script(bench.sql, "UPDATE rustbox.usage SET amount = 999 WHERE kind = 'requests'", &err),
        err);
    run(second, 3, 6); /* believes that two were used */
    assert_int_equal(metric_value(METRIC_transactions_redone_total, "admit"), redone + 3);
    assert_int_equal(ROWS("decision = 'admit'"), 4);
    assert_int_equal(ROWS("cause = 'ie_rejected_quota'"), 2);
    assert_int_equal(bench_sql(REQUESTS), 1000);
    admit_stage.close(first);
    admit_stage.close(second);
    bench.clock.mono_ns = clock_system.mono_ns;
}

/* Rule 17: dropped while admit believes that it is there; the rest of the batch is stored. */
static void a_dropped_day_stalls_nothing(void **state)
{
    (void)state;
    struct err err;
    void *self = open_admit();
    bench_submit(PROJECT_FREE, NULL, "print(0)");
    bench.retention_class = 7;
    bench_submit(PROJECT_FREE, NULL, "print(0)");
    run(self, 0, 2);
    assert_int_equal(bench.out.count, 2);
    struct line *gone = bench_submit(PROJECT_FREE, NULL, "print(2)");
    bench.retention_class = 30;
    struct line *a = bench_submit(PROJECT_FREE, NULL, "print(1)");
    struct line *b = bench_submit(PROJECT_FREE, NULL, "print(3)");
    char sql[200], day[DAY_TEXT];
    day_format(uuid_day(&gone->env.id), day);
    snprintf(sql, sizeof sql, "SELECT rustbox.drop_partitions(7::smallint, '%s')", day);
    assert_ok(db_script(bench.sql, sql, &err), err);
    run(self, 2, 5);
    assert_int_equal(bench_outputs(a, TOPIC_jobs_interactive), 1);
    assert_int_equal(bench_outputs(b, TOPIC_jobs_interactive), 1);
    assert_int_equal(bench.out.count, 2);
    assert_int_equal(ROWS("true"), 3);
    admit_stage.close(self);
}

/* Rule 3: the connection dies; reopen, the batch again. Offsets: greatest, and with the next batch.
 */
static void a_lost_connection_is_no_loss(void **state)
{
    (void)state;
    struct err err;
    void *self = open_admit();
    struct line *line = bench_submit(PROJECT_FREE, NULL, "print(1)");
    struct mark mark = {TOPIC_submissions, line->rec.partition, 7};
    assert_ok(db_script(bench.sql,
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "usename = 'rustbox_admit'",
                        &err),
              err);
    assert_err(bench_run(&admit_stage, self, 0, 1, NULL, 0, &err), err, ERR_DATABASE);
    assert_int_equal(bench.out.count, 0);
    assert_ok(admit_stage.reopen(self, &err), err);
    assert_ok(bench_run(&admit_stage, self, 0, 1, &mark, 1, &err), err);
    assert_int_equal(bench_outputs(line, TOPIC_jobs_interactive), 1);
    mark.next_offset = 5; /* a former owner */
    assert_ok(bench_run(&admit_stage, self, 0, 0, &mark, 1, &err), err);
    assert_ok(admit_stage.load_offsets(self, &mark, 1, &err), err);
    assert_int_equal(mark.next_offset, 7);
    admit_stage.close(self);
}

/* Rule 13: in transaction 1, sealed, once; a URL that the installation refuses rejects. */
static void a_one_submission_endpoint_is_registered(void **state)
{
    (void)state;
    struct err err;
    struct webhook_endpoint doc;
    uint8_t secret[KEY_BYTES];
    void *admit = open_admit();
    memset(secret, 3, sizeof secret);
    bench.webhook_url = "https://example.com/hook";
    bench_submit(PROJECT_FREE, NULL, "a");
    bench.webhook_url = "https://10.0.0.1/";
    bench_submit(PROJECT_FREE, NULL, "b");
    bench.webhook_url = NULL;
    bench_submit(PROJECT_FREE, NULL, "c");
    run(admit, 0, 3);
    run(admit, 0, 3); /* again */
    assert_int_equal(bench_sql("SELECT count(*) FROM rustbox.webhook_endpoints WHERE kind = "
                               "'submission' AND cardinality(events) = 2"),
                     1);
    assert_int_equal(bench_cause(&bench.log[1]), CAUSE_ie_rejected_invalid);
    struct uuid id = webhook_submission_endpoint(secret, &bench.log[0].env.id);
    static const struct db_statement read = {
        "read_sealed", "SELECT sealed FROM rustbox.webhook_endpoints WHERE id = $1"};
    struct db_param param = db_uuid(&id);
    DB_RESULT_AUTO rows = {0};
    assert_ok(db_exec(bench.sql, &read, &param, 1, &rows, &err), err);
    assert_int_equal(db_rows(&rows), 1);
    assert_ok(webhook_endpoint_open(secret, &bench.log[0].env.project, &id,
                                    db_get_bytes(&rows, 0, 0), &doc, &err),
              err);
    assert_string_equal(doc.url, "https://example.com/hook");
    assert_string_equal(doc.secrets[0].text, "a secret of v1");
    admit_stage.close(admit);
}

/* Rules 7 and 8 over several batches, with the verdict of the owner there already (G2). */
static void a_repeat_of_a_finished_owner_tells_its_endpoint(void **state)
{
    (void)state;
    struct err err;
    void *admit = open_admit(), *persist;
    assert_ok(persist_stage.open(&bench.env, &persist, &err), err);
    assert_ok(
        db_script(bench.sql,
                  "INSERT INTO rustbox.webhook_endpoints (id, project_id, kind, events, sealed, "
                  "created_at) VALUES (gen_random_uuid(), "
                  "'00000000-0000-7000-8000-000000000002', 'project', "
                  "'{submission.completed}', 'x', now())",
                  &err),
        err);
    bench_submit(PROJECT_FREE, "k", "print(1)");
    bench_submit(PROJECT_FREE, "k", "print(1)"); /* an alias before the verdict */
    run(admit, 0, 2);
    bench_verdict(&bench.log[0], 0, 1000);
    assert_ok(bench_run(&persist_stage, persist, 2, 3, NULL, 0, &err), err);
    assert_int_equal(bench_sql("SELECT count(*) FROM rustbox.outbox"), 2);
    struct line *alias = bench_submit(PROJECT_FREE, "k", "print(1)"); /* and one after it */
    run(admit, 3, 4);
    assert_int_equal(bench.out.count, 0);
    assert_int_equal(bench_sql("SELECT count(*) FROM rustbox.outbox"), 3);
    run(admit, 3, 4);
    assert_int_equal(bench_sql("SELECT count(*) FROM rustbox.outbox"), 3);
    assert_int_equal(bench_sql("SELECT count(DISTINCT evidence_id) FROM rustbox.outbox"), 1);
    (void)alias;
    admit_stage.close(admit);
    persist_stage.close(persist);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_kind_in_one_batch, bench_clean),
        cmocka_unit_test_setup(a_batch_comes_again, bench_clean),
        cmocka_unit_test_setup(a_day_on_which_nothing_counted_is_named, bench_clean),
        cmocka_unit_test_setup(the_stored_decision_stands, bench_clean),
        cmocka_unit_test_setup(what_moves_meanwhile_is_decided_again, bench_clean),
        cmocka_unit_test_setup(a_wrong_guess_is_decided_again, bench_clean),
        cmocka_unit_test_setup(a_lost_connection_is_no_loss, bench_clean),
        cmocka_unit_test_setup(a_one_submission_endpoint_is_registered, bench_clean),
        cmocka_unit_test_setup(a_repeat_of_a_finished_owner_tells_its_endpoint, bench_clean),
        cmocka_unit_test_setup(a_dropped_day_stalls_nothing, bench_clean),
    };
    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
