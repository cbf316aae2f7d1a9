/* The connection that never blocks: pipeline mode for its whole life, one sync per send. Statements
 * are prepared under a sync of their own, so that a failing neighbour cannot take a preparation
 * with it that later sends already rely on. */
#include "lib/base/strict.h"
#include "lib/db/db_internal.h"
#include <poll.h>
#include <stdlib.h>

struct db_request {
    db_async_fn *done;
    void *opaque;
    size_t count, answered;
    struct err err;
    struct db_result results[DB_CALLS_MAX];
};

int db_async_open(const struct db_config *config, struct db **out, struct err *err)
{
    struct db *db = db_new(config, true, err);
    if (!db)
        return -1;
    db->events = POLLOUT;
    *out = db;
    return 0;
}

int db_async_fd(const struct db *db)
{
    return PQsocket(db->conn);
}

short db_async_events(const struct db *db)
{
    return db->events;
}

size_t db_async_pending(const struct db *db)
{
    return db->pending;
}

bool db_async_connected(const struct db *db)
{
    return db->connected;
}

static void answer(struct db *db, struct db_request *request)
{
    bool good = request->err.code == ERR_NONE;
    db->pending--;
    request->done(request->opaque, good ? request->results : NULL, good ? request->count : 0,
                  &request->err);
    for (size_t i = 0; i < request->answered; i++)
        db_result_done(&request->results[i]);
    free(request);
}

/* Calls back everything outstanding with the reason. */
static void answer_all(struct db *db, const struct err *why)
{
    db->connected = false;
    while (db_sent_head(db)) {
        struct db_sent item = *db_sent_head(db);
        db_sent_pop(db);
        if (item.kind != SENT_SYNC || !item.request)
            continue;
        item.request->err = *why;
        answer(db, item.request);
    }
}

static int lost(struct db *db, struct err *err)
{
    struct err why = {0};
    db_fail(db, NULL, "the connection to PostgreSQL is lost", &why);
    answer_all(db, &why);
    if (err)
        *err = why;
    return -1;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    struct err why = {0}; /* who asked owns what the callback leads to: never left uncalled */
    (void)!err_set(&why, ERR_DATABASE, "the connection to PostgreSQL is closed");
    answer_all(db, &why);
    PQfinish(db->conn);
    free(db->sent);
    free(db);
}

static int connecting(struct db *db, struct err *err)
{
    switch (PQconnectPoll(db->conn)) {
    case PGRES_POLLING_READING:
        db->events = POLLIN;
        return 0;
    case PGRES_POLLING_OK:
        if (PQsetnonblocking(db->conn, 1) || PQenterPipelineMode(db->conn) != 1)
            return db_fail(db, NULL, "PostgreSQL", err);
        db->connected = true;
        db->events = POLLIN;
        return 0;
    case PGRES_POLLING_FAILED:
        return db_fail(db, NULL, "cannot connect to PostgreSQL", err);
    case PGRES_POLLING_WRITING:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    db->events = POLLOUT;
    return 0;
}

static int flush(struct db *db)
{
    int left = PQflush(db->conn);
    db->events = left == 1 ? POLLIN | POLLOUT : POLLIN;
    return left < 0 ? -1 : 0;
}

/* Takes result for what was sent first. */
static void take(struct db *db, PGresult *result)
{
    struct db_sent *item = db_sent_head(db);
    struct db_request *request = item->request;
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_SYNC) {
        CHECK(item->kind == SENT_SYNC);
        db_sent_pop(db);
        PQclear(result);
        if (request)
            answer(db, request);
        return;
    }
    item->answered = true;
    bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (item->kind == SENT_PREPARE && !good)
        db_forget_prepared(db, item->statement);
    if (!good && request && request->err.code == ERR_NONE)
        db_fail(db, result, item->statement->name, &request->err);
    if (good && item->kind == SENT_STATEMENT)
        request->results[request->answered++].rows = result;
    else
        PQclear(result);
}

static void read_answers(struct db *db)
{
    while (db_sent_head(db) && !PQisBusy(db->conn)) {
        PGresult *result = PQgetResult(db->conn);
        if (result)
            take(db, result);
        else if (db_sent_head(db)->answered)
            db_sent_pop(db); /* the NULL between two answers */
        else
            break;
    }
}

int db_async_ready(struct db *db, struct err *err)
{
    if (!db->connected)
        return connecting(db, err);
    if (flush(db) || PQconsumeInput(db->conn) != 1)
        return lost(db, err);
    read_answers(db);
    if (PQstatus(db->conn) != CONNECTION_OK || flush(db))
        return lost(db, err);
    return 0;
}

static int prepare_all(struct db *db, const struct db_call *calls, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (db_is_prepared(db, calls[i].statement))
            continue;
        if (db_queue_prepare(db, calls[i].statement, err))
            return -1;
        if (PQpipelineSync(db->conn) != 1)
            return db_fail(db, NULL, calls[i].statement->name, err);
        db_sent_push(db, (struct db_sent){.kind = SENT_SYNC});
    }
    return 0;
}

int db_async_send(struct db *db, const struct db_call *calls, size_t count, db_async_fn *done,
                  void *opaque, struct err *err)
{
    CHECK(count > 0 && count <= DB_CALLS_MAX);
    if (!db->connected)
        return err_set(err, ERR_DATABASE, "not connected to PostgreSQL");
    struct db_encoded probe; /* a parameter that cannot be sent must not cut a transaction short */
    for (size_t i = 0; i < count; i++) {
        int status = db_encode(calls[i].params, calls[i].count, &probe, err);
        db_encoded_done(&probe);
        if (status)
            return err_wrap(err, "%s", calls[i].statement->name);
    }
    if (prepare_all(db, calls, count, err))
        return -1;
    struct db_request *request = calloc(1, sizeof *request);
    if (!request)
        return err_set(err, ERR_NO_MEMORY, "database request");
    *request = (struct db_request){.done = done, .opaque = opaque, .count = count};
    for (size_t i = 0; i < count; i++)
        if (db_queue_statement(db, calls[i].statement, calls[i].params, calls[i].count,
                               (struct db_sent){.kind = SENT_STATEMENT, .request = request},
                               &request->err))
            break; /* the connection is gone: the next db_async_ready says so to everyone */
    if (request->err.code == ERR_NONE && PQpipelineSync(db->conn) != 1)
        db_fail(db, NULL, "pipeline", &request->err);
    db_sent_push(db, (struct db_sent){.kind = SENT_SYNC, .request = request});
    db->pending++;
    (void)!flush(db);
    return 0;
}
