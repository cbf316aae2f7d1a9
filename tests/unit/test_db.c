/* lib/db against a private PostgreSQL with the real schema (run by
 * tests/integration/with_postgres). */
#include "lib/db/db.h"
#include "tests/unit/unit.h"
#include <poll.h>
#include <unistd.h>

static const struct db_config config = {.conninfo = "",
                                        .application = "test_db",
                                        .statement_timeout_ms = 2000,
                                        .connect_timeout_ms = 5000};
static struct db *db;
static struct err err;

#define PARAMS(...)                                                                                \
    (const struct db_param[])                                                                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static int setup(void **state)
{
    (void)state;
    db = NULL;
    if (db_open(&config, &db, &err) ||
        db_script(db,
                  "DROP TABLE IF EXISTS t, parts CASCADE;"
                  "CREATE TABLE t (id bigint PRIMARY KEY, note text CHECK (note <> 'bad'), u uuid, "
                  "b bytea, d date, at timestamptz, yes boolean, s smallint, i integer);"
                  "CREATE TABLE parts (day date NOT NULL) PARTITION BY RANGE (day);"
                  "DELETE FROM consumer_offsets",
                  &err)) {
        print_error("%s\n", err.message);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    db_close(db);
    return 0;
}

static const struct db_statement insert = {"t_insert", "INSERT INTO t (id, note) VALUES ($1, $2)"};
static const struct db_statement count_rows = {"t_count", "SELECT count(*) FROM t"};

static int64_t rows_in_t(struct db *from)
{
    DB_RESULT_AUTO result = {0};
    assert_ok(db_exec(from, &count_rows, NULL, 0, &result, &err), err);
    return db_get_int(&result, 0, 0);
}

static int insert_row(int64_t id, const char *note)
{
    return db_exec(db, &insert, PARAMS(db_int(id), db_text(note)), 2, NULL, &err);
}

static void values_both_ways(void **state)
{
    (void)state;
    static const struct db_statement all = {
        "t_all", "INSERT INTO t VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) RETURNING *"};
    struct uuid id = {{0xab, 0xff}};
    uint8_t bytes[] = {0, 1, 255, '\\'};
    int64_t at = INT64_C(1795464900123456) * 1000;
    DB_RESULT_AUTO result = {0};
    assert_ok(db_exec(db, &all,
                      PARAMS(db_int(INT64_MIN), db_text("gr\xc3\xbc\xc3\x9f 'quoted' \\"),
                             db_uuid(&id), db_bytes(span_of(bytes, 4)), db_day(20780), db_time(at),
                             db_bool(true), db_int(-7), db_int(70000)),
                      9, &result, &err),
              err);
    assert_int_equal(db_rows(&result), 1);
    assert_int_equal(db_affected(&result), 1);
    assert_true(db_get_int(&result, 0, 0) == INT64_MIN);
    assert_true(span_is(db_get_text(&result, 0, 1), "gr\xc3\xbc\xc3\x9f 'quoted' \\"));
    struct uuid back = db_get_uuid(&result, 0, 2);
    assert_true(uuid_eq(&back, &id));
    assert_true(span_eq(db_get_bytes(&result, 0, 3), span_of(bytes, 4)));
    assert_int_equal(db_get_day(&result, 0, 4), 20780);
    assert_true(db_get_time_ns(&result, 0, 5) == at);
    assert_true(db_get_bool(&result, 0, 6));
    assert_int_equal(db_get_int(&result, 0, 7), -7);
    assert_int_equal(db_get_int(&result, 0, 8), 70000);
    DB_RESULT_AUTO nulls = {0};
    assert_ok(db_exec(db, &all,
                      PARAMS(db_int(1), db_text(NULL), db_uuid(NULL), db_bytes(span_of(NULL, 0)),
                             db_null(), db_null(), db_null(), db_null(), db_null()),
                      9, &nulls, &err),
              err);
    assert_true(db_is_null(&nulls, 0, 1));
    assert_true(db_is_null(&nulls, 0, 2));
    assert_false(db_is_null(&nulls, 0, 3)); /* empty is not NULL */
    assert_int_equal(db_get_bytes(&nulls, 0, 3).len, 0);
    static const struct db_statement arrays = {
        "arrays", "SELECT $1::uuid = ANY($2), (SELECT sum(x) FROM unnest($3::bigint[]) x)::bigint"};
    struct uuid ids[] = {{{1}}, {{0xab, 0xff}}};
    int64_t numbers[] = {-5, 7, 40};
    DB_RESULT_AUTO found = {0};
    assert_ok(db_exec(db, &arrays, PARAMS(db_uuid(&id), db_uuids(ids, 2), db_ints(numbers, 3)), 3,
                      &found, &err),
              err);
    assert_true(db_get_bool(&found, 0, 0));
    assert_int_equal(db_get_int(&found, 0, 1), 42);
    assert_err(db_exec(db, &insert, PARAMS(db_int(9), db_span(SPAN_LIT("a\0b"))), 2, NULL, &err),
               err, ERR_INVALID);
}

static void transactions(void **state)
{
    (void)state;
    assert_ok(db_begin(db, &err), err);
    assert_ok(insert_row(1, "x"), err);
    db_rollback(db);
    assert_int_equal(rows_in_t(db), 0);
    assert_ok(db_begin(db, &err), err);
    assert_ok(insert_row(1, "x"), err);
    assert_ok(db_commit(db, &err), err);
    assert_int_equal(rows_in_t(db), 1);
    assert_ok(db_begin(db, &err), err); /* an error leaves no transaction open */
    assert_ok(insert_row(2, "x"), err);
    assert_err(insert_row(1, "x"), err, ERR_CONFLICT);
    assert_err(db_commit(db, &err), err, ERR_BUG);
    assert_int_equal(rows_in_t(db), 1);
}

static void errors_by_sqlstate(void **state)
{
    (void)state;
    static const struct {
        struct db_statement statement;
        enum err_code code;
    } cases[] = {
        {{"e1", "SELECT * FROM nowhere"}, ERR_CONFIG},
        {{"e2", "SELEC"}, ERR_CONFIG},
        {{"e3", "INSERT INTO t (id, note) VALUES (1, 'bad')"}, ERR_INVALID},
        {{"e4", "INSERT INTO t (id) VALUES (NULL)"}, ERR_INVALID},
        {{"e5", "SELECT 'hunter2'::text::uuid"}, ERR_INVALID},
        {{"e6", "SELECT pg_sleep(20)"}, ERR_TIMEOUT},
        {{"e7", "INSERT INTO parts VALUES ('2026-11-23')"}, ERR_EXPIRED},
        {{"e8", "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"}, ERR_BUSY},
        {{"e9", "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$"}, ERR_DATABASE},
        {{"e10", "SELECT pg_terminate_backend(pg_backend_pid())"}, ERR_DATABASE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_err(db_exec(db, &cases[i].statement, NULL, 0, NULL, &err), err, cases[i].code);
        assert_memory_equal(err.message, cases[i].statement.name,
                            strlen(cases[i].statement.name)); /* names what failed */
        assert_null(strstr(err.message, "hunter2"));
    }
    assert_err(db_exec(db, &count_rows, NULL, 0, NULL, &err), err, ERR_DATABASE); /* stays lost */
    struct db_config wrong = config;
    struct db *none = NULL;
    wrong.conninfo = "host=/nonexistent";
    assert_err(db_open(&wrong, &none, &err), err, ERR_DATABASE);
}

static int pipeline_of(const int64_t *ids, size_t count, bool transaction, size_t *failed)
{
    struct db_result results[300];
    struct err ignored;
    db_pipeline_begin(db);
    if (transaction)
        (void)!db_begin(db, &ignored);
    for (size_t i = 0; i < count; i++)
        (void)!db_pipeline_send(db, &insert, PARAMS(db_int(ids[i]), db_text("x")), 2, &ignored);
    if (transaction)
        (void)!db_commit(db, &ignored);
    int status = db_pipeline_finish(db, results, count, failed, &err);
    for (size_t i = 0; status == 0 && i < count; i++) {
        assert_int_equal(db_affected(&results[i]), 1);
        db_result_done(&results[i]);
    }
    return status;
}

static void pipelines(void **state)
{
    (void)state;
    int64_t ids[200];
    size_t failed = 0;
    for (int i = 0; i < 200; i++)
        ids[i] = i;
    assert_ok(pipeline_of(ids, 200, true, &failed), err);
    assert_int_equal(rows_in_t(db), 200);
    for (int i = 0; i < 200; i++)
        ids[i] += 1000;
    ids[123] = 5; /* a duplicate: nothing of the batch stays */
    assert_err(pipeline_of(ids, 200, true, &failed), err, ERR_CONFLICT);
    assert_int_equal(failed, 123);
    assert_int_equal(rows_in_t(db), 200);
    assert_err(pipeline_of(ids, 200, false, &failed), err, ERR_CONFLICT);
    assert_int_equal(rows_in_t(db), 200);
    ids[123] = 1123;
    assert_ok(pipeline_of(ids, 200, false, &failed), err); /* and the connection goes on */
    assert_int_equal(rows_in_t(db), 400);
    /* a statement whose preparation was skipped by an earlier failure is prepared again */
    static const struct db_statement late = {"late", "SELECT 7::integer"};
    struct db_result results[2];
    db_pipeline_begin(db);
    assert_ok(db_pipeline_send(db, &insert, PARAMS(db_int(5), db_text("x")), 2, &err), err);
    assert_ok(db_pipeline_send(db, &late, NULL, 0, &err), err);
    assert_err(db_pipeline_finish(db, results, 2, &failed, &err), err, ERR_CONFLICT);
    assert_int_equal(failed, 0);
    DB_RESULT_AUTO seven = {0};
    assert_ok(db_exec(db, &late, NULL, 0, &seven, &err), err);
    assert_int_equal(db_get_int(&seven, 0, 0), 7);
}

static void a_send_that_fails_fails_the_pipeline(void **state)
{
    (void)state;
    struct db_result results[2];
    size_t failed = 9;
    db_pipeline_begin(db);
    assert_ok(db_begin(db, &err), err);
    assert_ok(db_pipeline_send(db, &insert, PARAMS(db_int(1), db_text("x")), 2, &err), err);
    assert_err(db_pipeline_send(db, &insert, PARAMS(db_int(2), db_span(SPAN_LIT("\0"))), 2, &err),
               err, ERR_INVALID);
    assert_err(db_commit(db, &err), err, ERR_INVALID); /* not queued any more */
    assert_err(db_pipeline_finish(db, results, 2, &failed, &err), err, ERR_INVALID);
    assert_int_equal(rows_in_t(db), 0);
    static const struct db_statement die = {"die", "SELECT pg_terminate_backend(pg_backend_pid())"};
    db_pipeline_begin(db);
    assert_ok(db_pipeline_send(db, &die, NULL, 0, &err), err);
    assert_ok(db_pipeline_send(db, &insert, PARAMS(db_int(1), db_text("x")), 2, &err), err);
    assert_err(db_pipeline_finish(db, results, 2, &failed, &err), err, ERR_DATABASE);
}

static void offsets_only_grow(void **state)
{
    (void)state;
    struct db_offset found[8];
    size_t count = 0;
    assert_err(db_offsets_read(db, "topic", found, 8, &count, &err), err, ERR_CONFIG);
    assert_ok(db_offsets_create(db, "topic", 3, &err), err);
    assert_ok(db_offsets_create(db, "topic", 3, &err), err);
    assert_err(db_offsets_read(db, "topic", found, 2, &count, &err), err, ERR_CONFIG);
    const struct db_offset forward[] = {{2, 50}, {0, 10}}, backward[] = {{0, 4}, {2, 60}};
    assert_ok(db_begin(db, &err), err);
    assert_ok(db_offsets_advance(db, "topic", forward, 2, &err), err);
    assert_ok(db_commit(db, &err), err);
    db_pipeline_begin(db); /* in a pipeline it is queued and has no place in the results */
    assert_ok(db_begin(db, &err), err);
    assert_ok(db_offsets_advance(db, "topic", backward, 2, &err), err);
    assert_ok(db_commit(db, &err), err);
    assert_ok(db_pipeline_finish(db, NULL, 0, NULL, &err), err);
    assert_ok(db_offsets_read(db, "topic", found, 8, &count, &err), err);
    assert_int_equal(count, 3);
    assert_int_equal(found[0].next_offset, 10); /* a late owner moves nothing back */
    assert_int_equal(found[1].next_offset, 0);
    assert_int_equal(found[2].next_offset, 60);
    const struct db_offset unknown[] = {{7, 1}};
    assert_err(db_offsets_advance(db, "topic", unknown, 1, &err), err, ERR_CONFIG);
    assert_ok(db_offsets_advance(db, "topic", NULL, 0, &err), err);
}

/* ---- asynchronous ---- */

struct answers {
    int count, failed;
    int64_t order[64];
    enum err_code last;
};

static void on_answer(void *opaque, const struct db_result *results, size_t count,
                      const struct err *why)
{
    struct answers *answers = opaque;
    answers->last = why->code;
    if (why->code != ERR_NONE) {
        assert_null(results);
        answers->failed++;
        return;
    }
    answers->order[answers->count++] = db_get_int(&results[count - 1], 0, 0);
}

static int drive(struct db *async, size_t until_pending)
{
    for (int i = 0; i < 2000; i++) {
        if (db_async_connected(async) && db_async_pending(async) <= until_pending)
            return 0;
        struct pollfd fd = {.fd = db_async_fd(async), .events = db_async_events(async)};
        poll(&fd, 1, 50);
        if (db_async_ready(async, &err))
            return -1;
    }
    fail_msg("no answer");
    return -1;
}

static const struct db_statement echo = {"echo", "SELECT $1::bigint"};

static int send_echo(struct db *async, int64_t value, struct answers *answers)
{
    const struct db_param params[] = {db_int(value)};
    const struct db_call call = {&echo, params, 1};
    return db_async_send(async, &call, 1, on_answer, answers, &err);
}

static void async_answers_in_order(void **state)
{
    (void)state;
    struct db *async = NULL;
    struct answers answers = {0};
    assert_ok(db_async_open(&config, &async, &err), err);
    assert_err(send_echo(async, 1, &answers), err, ERR_DATABASE); /* not connected yet */
    assert_ok(drive(async, 0), err);
    for (int i = 0; i < 40; i++)
        assert_ok(send_echo(async, i, &answers), err);
    assert_int_equal(db_async_pending(async), 40);
    assert_ok(drive(async, 0), err);
    assert_int_equal(answers.count, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(answers.order[i], i);
    /* several statements are one transaction: the second fails, the first is undone */
    static const struct db_statement bad = {"bad", "INSERT INTO t (id, note) VALUES (78, 'bad')"};
    const struct db_param params[] = {db_int(77), db_text("x")};
    const struct db_call calls[] = {{&insert, params, 2}, {&bad, NULL, 0}, {&count_rows, NULL, 0}};
    const struct db_call good[] = {{&insert, params, 2}, {&count_rows, NULL, 0}};
    assert_ok(db_async_send(async, calls, 3, on_answer, &answers, &err), err);
    assert_ok(send_echo(async, 99, &answers), err); /* its neighbour is not hurt */
    assert_ok(db_async_send(async, good, 2, on_answer, &answers, &err), err);
    assert_ok(drive(async, 0), err);
    assert_int_equal(answers.failed, 1);
    assert_int_equal(answers.order[40], 99);
    assert_int_equal(answers.order[41], 1);
    db_close(async);
}

static void async_tells_everyone_when_lost(void **state)
{
    (void)state;
    static const struct db_statement die = {"die", "SELECT pg_terminate_backend(pg_backend_pid())"};
    struct db *async = NULL;
    struct answers answers = {0};
    assert_ok(db_async_open(&config, &async, &err), err);
    assert_ok(drive(async, 0), err);
    const struct db_call call = {&die, NULL, 0};
    assert_ok(db_async_send(async, &call, 1, on_answer, &answers, &err), err);
    for (int i = 0; i < 5; i++)
        assert_ok(send_echo(async, i, &answers), err);
    assert_err(drive(async, 0), err, ERR_DATABASE);
    assert_int_equal(answers.failed, 6);
    assert_int_equal(answers.last, ERR_DATABASE);
    assert_err(send_echo(async, 1, &answers), err, ERR_DATABASE);
    db_close(async);
    assert_ok(db_async_open(&config, &async, &err), err); /* closing with sends under way */
    assert_ok(drive(async, 0), err);
    answers = (struct answers){0};
    assert_ok(send_echo(async, 1, &answers), err);
    assert_ok(send_echo(async, 2, &answers), err);
    db_close(async);
    assert_int_equal(answers.failed, 2); /* who asked owns what the callback leads to */
}

int main(void)
{
    if (!getenv("PGHOST")) {
        printf("skipped: run me by tests/integration/with_postgres\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(transactions, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_by_sqlstate, setup, teardown),
        cmocka_unit_test_setup_teardown(pipelines, setup, teardown),
        cmocka_unit_test_setup_teardown(a_send_that_fails_fails_the_pipeline, setup, teardown),
        cmocka_unit_test_setup_teardown(offsets_only_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(async_answers_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(async_tells_everyone_when_lost, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
