/* The synchronous connection: one statement at a time, or a pipeline. After any failure the
 * transaction is rolled back here, so that no caller can go on in a broken one by mistake. */
#include "lib/db/db.h"
#include "lib/base/strict.h"
#include "lib/db/db_internal.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- opening ---- */

struct db *db_new(const struct db_config *config, bool async, struct err *err)
{
    /* A day's partition has no statistics before it is first analyzed, and a table that was small
     * when a plan was made may not be any more. What such plans then do is read all of it: 10 ms at
     * 10,000 rows. An index look-up is never far from the best plan of a look-up. */
    static const char look_ups[] =
        " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off";
    static const char *const plans[] = {
        [DB_PLANS_BY_COST] = "",
        [DB_PLANS_FRESH] = " -c plan_cache_mode=force_custom_plan",
        [DB_PLANS_KEPT] = " -c plan_cache_mode=force_generic_plan",
    };
    char options[400], timeout[24];
    snprintf(options, sizeof options,
             "-c search_path=rustbox -c statement_timeout=%lld -c client_min_messages=error "
             "-c constraint_exclusion=off" /* CHECKs exclude no partition; trying costs 0.1 ms */
             " -c jit=off%s%s",            /* compiling takes longer than any of the statements */
             (long long)config->statement_timeout_ms, config->look_ups ? look_ups : "",
             plans[config->plans]);
    int64_t seconds =
        config->connect_timeout_ms <= 0 ? 0 : (config->connect_timeout_ms + 999) / 1000;
    snprintf(timeout, sizeof timeout, "%lld", (long long)(seconds == 1 ? 2 : seconds));
    const char *keys[] = {"dbname",          "application_name", "connect_timeout",
                          "client_encoding", "options",          NULL};
    const char *values[] = {config->conninfo, config->application, timeout, "UTF8", options, NULL};
    struct db *db = calloc(1, sizeof *db);
    if (!db) {
        err_set(err, ERR_NO_MEMORY, "database connection");
        return NULL;
    }
    db->conn = async ? PQconnectStartParams(keys, values, 1) : PQconnectdbParams(keys, values, 1);
    bool good = db->conn && (async ? PQstatus(db->conn) != CONNECTION_BAD
                                   : PQstatus(db->conn) == CONNECTION_OK);
    if (!good) {
        db_fail(db, NULL, "cannot connect to PostgreSQL", err);
        db_close(db);
        return NULL;
    }
    return db;
}

int db_open(const struct db_config *config, struct db **out, struct err *err)
{
    struct db *db = db_new(config, false, err);
    if (!db)
        return -1;
    *out = db;
    return 0;
}

/* ---- what was sent ---- */

void db_sent_push(struct db *db, struct db_sent item)
{
    if (db->sent_count == db->sent_cap) {
        size_t cap = db->sent_cap ? db->sent_cap * 2 : 64;
        struct db_sent *ring = calloc(cap, sizeof *ring);
        CHECK(ring);
        for (size_t i = 0; i < db->sent_count; i++)
            ring[i] = db->sent[(db->sent_head + i) % db->sent_cap];
        free(db->sent);
        db->sent = ring;
        db->sent_cap = cap;
        db->sent_head = 0;
    }
    db->sent[(db->sent_head + db->sent_count++) % db->sent_cap] = item;
}

struct db_sent *db_sent_head(struct db *db)
{
    return db->sent_count > 0 ? &db->sent[db->sent_head] : NULL;
}

void db_sent_pop(struct db *db)
{
    db->sent_head = (db->sent_head + 1) % db->sent_cap;
    db->sent_count--;
}

/* ---- prepared statements ---- */

bool db_is_prepared(const struct db *db, const struct db_statement *statement)
{
    for (size_t i = 0; i < db->prepared_count; i++)
        if (db->prepared[i] == statement)
            return true;
    return false;
}

void db_note_prepared(struct db *db, const struct db_statement *statement)
{
    CHECK(db->prepared_count < DB_STATEMENTS_MAX);
    db->prepared[db->prepared_count++] = statement;
}

void db_forget_prepared(struct db *db, const struct db_statement *statement)
{
    for (size_t i = 0; i < db->prepared_count; i++)
        if (db->prepared[i] == statement)
            db->prepared[i] = db->prepared[--db->prepared_count];
}

/* ---- one statement ---- */

/* Takes result. */
static int finish_one(struct db *db, PGresult *result, const char *what, struct db_result *out,
                      struct err *err)
{
    ExecStatusType status = result ? PQresultStatus(result) : PGRES_FATAL_ERROR;
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        if (out)
            out->rows = result;
        else
            PQclear(result);
        return 0;
    }
    db_fail(db, result, what, err);
    PQclear(result);
    db_rollback(db);
    return -1;
}

int db_exec(struct db *db, const struct db_statement *statement, const struct db_param *params,
            size_t count, struct db_result *out, struct err *err)
{
    CHECK(!db->in_pipeline);
    if (!db_is_prepared(db, statement)) {
        if (finish_one(db, PQprepare(db->conn, statement->name, statement->sql, 0, NULL),
                       statement->name, NULL, err))
            return -1;
        db_note_prepared(db, statement);
    }
    DB_ENCODED_AUTO encoded;
    if (db_encode(params, count, &encoded, err)) {
        db_rollback(db);
        return err_wrap(err, "%s", statement->name);
    }
    return finish_one(db,
                      PQexecPrepared(db->conn, statement->name, (int)count, encoded.values,
                                     encoded.lengths, encoded.formats, 1),
                      statement->name, out, err);
}

int db_script(struct db *db, const char *sql, struct err *err)
{
    CHECK(!db->in_pipeline);
    return finish_one(db, PQexec(db->conn, sql), "script", NULL, err);
}

/* ---- pipelines ---- */

void db_pipeline_begin(struct db *db)
{
    CHECK(!db->in_pipeline && db->sent_count == 0);
    db->in_pipeline = true;
    db->pipeline_err = (struct err){0};
    if (PQenterPipelineMode(db->conn) != 1)
        db_fail(db, NULL, "pipeline", &db->pipeline_err);
}

int db_queue_prepare(struct db *db, const struct db_statement *statement, struct err *err)
{
    if (PQsendPrepare(db->conn, statement->name, statement->sql, 0, NULL) != 1)
        return db_fail(db, NULL, statement->name, err);
    db_note_prepared(db, statement); /* forgotten again when the answer is an error */
    db_sent_push(db, (struct db_sent){.kind = SENT_PREPARE, .statement = statement});
    return 0;
}

int db_queue_statement(struct db *db, const struct db_statement *statement,
                       const struct db_param *params, size_t count, struct db_sent item,
                       struct err *err)
{
    DB_ENCODED_AUTO encoded;
    if (db_encode(params, count, &encoded, err))
        return err_wrap(err, "%s", statement->name);
    if (PQsendQueryPrepared(db->conn, statement->name, (int)count, encoded.values, encoded.lengths,
                            encoded.formats, 1) != 1)
        return db_fail(db, NULL, statement->name, err);
    item.statement = statement;
    db_sent_push(db, item);
    return 0;
}

/* Remembers the first failure of a send: then the pipeline must not commit. */
static int queue(struct db *db, const struct db_statement *statement, const struct db_param *params,
                 size_t count, struct db_sent item, struct err *err)
{
    CHECK(db->in_pipeline);
    struct err why = db->pipeline_err;
    if (why.code == ERR_NONE && !db_is_prepared(db, statement))
        (void)!db_queue_prepare(db, statement, &why);
    if (why.code == ERR_NONE)
        (void)!db_queue_statement(db, statement, params, count, item, &why);
    if (why.code == ERR_NONE)
        return 0;
    db->pipeline_err = why;
    if (err)
        *err = why;
    return -1;
}

int db_pipeline_send(struct db *db, const struct db_statement *statement,
                     const struct db_param *params, size_t count, struct err *err)
{
    return queue(db, statement, params, count, (struct db_sent){.kind = SENT_STATEMENT}, err);
}

int db_exec_affecting(struct db *db, const struct db_statement *statement,
                      const struct db_param *params, size_t count, size_t rows, struct err *err)
{
    if (db->in_pipeline)
        return queue(db, statement, params, count,
                     (struct db_sent){.kind = SENT_HIDDEN, .must_affect = rows}, err);
    DB_RESULT_AUTO result = {0};
    if (db_exec(db, statement, params, count, &result, err))
        return -1;
    if (rows == 0 || db_affected(&result) == rows)
        return 0;
    db_rollback(db);
    return err_set(err, ERR_CONFIG, "%s: rows are missing: apply the migrations", statement->name);
}

/* Takes one answer for item; the first error stays in *why. */
static void take(struct db *db, const struct db_sent *item, PGresult *result,
                 struct db_result *into, struct err *why)
{
    ExecStatusType status = result ? PQresultStatus(result) : PGRES_FATAL_ERROR;
    bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    struct db_result rows = {result};
    if (!good && item->kind == SENT_PREPARE)
        db_forget_prepared(db, item->statement);
    if (!good && why->code == ERR_NONE)
        db_fail(db, result, item->statement ? item->statement->name : "transaction", why);
    if (good && item->must_affect > 0 && db_affected(&rows) != item->must_affect &&
        why->code == ERR_NONE)
        err_set(why, ERR_CONFIG, "%s: rows are missing: apply the migrations",
                item->statement->name);
    if (good && into)
        *into = rows;
    else
        PQclear(result);
}

static void leave_pipeline(struct db *db)
{
    for (PGresult *rest; PQstatus(db->conn) == CONNECTION_OK && (rest = PQgetResult(db->conn));)
        PQclear(rest);
    PQexitPipelineMode(db->conn);
    db->in_pipeline = false;
    db->sent_count = 0;
}

int db_pipeline_finish(struct db *db, struct db_result *results, size_t n, size_t *failed,
                       struct err *err)
{
    CHECK(db->in_pipeline);
    struct err why = db->pipeline_err;
    size_t done = 0, at = n;
    bool sent = PQpipelineSync(db->conn) == 1;
    if (!sent && why.code == ERR_NONE)
        db_fail(db, NULL, "pipeline", &why);
    for (size_t i = 0; i < n; i++)
        results[i] = (struct db_result){0};
    for (; sent && db->sent_count > 0; db_sent_pop(db)) {
        struct db_sent item = *db_sent_head(db);
        bool visible = item.kind == SENT_STATEMENT;
        bool was_good = why.code == ERR_NONE;
        CHECK(!visible || done < n);
        take(db, &item, PQgetResult(db->conn), visible ? &results[done] : NULL, &why);
        if (was_good && why.code != ERR_NONE)
            at = item.kind == SENT_HIDDEN ? n : done;
        done += visible;
        if (PQstatus(db->conn) != CONNECTION_OK)
            break;
        for (PGresult *end; (end = PQgetResult(db->conn));) /* the NULL between two answers */
            PQclear(end);
    }
    leave_pipeline(db);
    if (why.code == ERR_NONE) {
        CHECK(done == n);
        return 0;
    }
    db_rollback(db);
    for (size_t i = 0; i < n; i++)
        db_result_done(&results[i]);
    if (failed)
        *failed = at;
    if (err)
        *err = why;
    return -1;
}

/* ---- transactions ---- */

static const struct db_statement begin_statement = {"begin", "BEGIN"};
static const struct db_statement commit_statement = {"commit", "COMMIT"};

int db_begin(struct db *db, struct err *err)
{
    return db_exec_affecting(db, &begin_statement, NULL, 0, 0, err);
}

int db_commit(struct db *db, struct err *err)
{
    if (!db->in_pipeline && PQtransactionStatus(db->conn) != PQTRANS_INTRANS)
        return PQstatus(db->conn) == CONNECTION_OK
                   ? err_set(err, ERR_BUG, "commit outside a transaction")
                   : db_fail(db, NULL, "commit", err);
    return db_exec_affecting(db, &commit_statement, NULL, 0, 0, err);
}

void db_rollback(struct db *db)
{
    CHECK(!db->in_pipeline);
    PGTransactionStatusType status = PQtransactionStatus(db->conn);
    if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
        PQclear(PQexec(db->conn, "ROLLBACK"));
}
