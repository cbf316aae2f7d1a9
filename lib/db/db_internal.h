/* What the files of lib/db share. A connection keeps the list of what it sent and has not yet
 * got an answer for; answers come in that order. */
#pragma once
#include "lib/db/db.h"
#include <libpq-fe.h>

#define DB_STATEMENTS_MAX 128

struct db_request; /* one asynchronous send */

enum db_sent_kind { SENT_PREPARE, SENT_HIDDEN, SENT_STATEMENT, SENT_SYNC };
struct db_sent {
    enum db_sent_kind kind;
    bool answered;
    size_t must_affect;                   /* offsets: rows that have to exist; 0 = any */
    const struct db_statement *statement; /* PREPARE, STATEMENT */
    struct db_request *request;           /* asynchronous STATEMENT and SYNC */
};

struct db {
    PGconn *conn;
    const struct db_statement *prepared[DB_STATEMENTS_MAX];
    size_t prepared_count;
    struct db_sent *sent; /* ring */
    size_t sent_cap, sent_head, sent_count;
    bool in_pipeline;
    struct err pipeline_err; /* of a failed send */
    /* asynchronous */
    bool connected;
    short events;
    size_t pending;
};

struct db_encoded {
    size_t count;
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX], formats[DB_PARAMS_MAX];
    char small[DB_PARAMS_MAX][40];
    char *owned[DB_PARAMS_MAX];
};
/* Points into params and into itself. */
int db_encode(const struct db_param *params, size_t count, struct db_encoded *out,
              struct err *err) MUST_CHECK;
void db_encoded_done(struct db_encoded *encoded);
#define DB_ENCODED_AUTO __attribute__((cleanup(db_encoded_done))) struct db_encoded

/* Fills err from a failed result (NULL: from the connection); returns -1. */
int db_fail(const struct db *db, const PGresult *result, const char *what, struct err *err);
struct db *db_new(const struct db_config *config, bool async, struct err *err);
void db_sent_push(struct db *db, struct db_sent item);
struct db_sent *db_sent_head(struct db *db); /* NULL = none */
void db_sent_pop(struct db *db);
bool db_is_prepared(const struct db *db, const struct db_statement *statement);
void db_note_prepared(struct db *db, const struct db_statement *statement);
void db_forget_prepared(struct db *db, const struct db_statement *statement);
/* Queues in a pipeline; 0 or -1 with err. */
int db_queue_prepare(struct db *db, const struct db_statement *statement,
                     struct err *err) MUST_CHECK;
int db_queue_statement(struct db *db, const struct db_statement *statement,
                       const struct db_param *params, size_t count, struct db_sent item,
                       struct err *err) MUST_CHECK;
/* db_exec, or queued without a place in the results; `rows` rows must be affected (0 = any). */
int db_exec_affecting(struct db *db, const struct db_statement *statement,
                      const struct db_param *params, size_t count, size_t rows,
                      struct err *err) MUST_CHECK;
