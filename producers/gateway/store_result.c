/* One id's row and evidence (store.h), each look-up in the partition that its statement names: the
 * planner then opens one or two of each table, whatever is stored. A join that finds class or day
 * out of a row has to be planned over all partitions, and was planned to read them. */
#include "lib/base/strict.h"
#include "producers/gateway/store_impl.h"
#include <stdlib.h>

#define RESULT(submission, evidence)                                                               \
    "SELECT s.decision, s.created_at, s.language, s.owner_id, s.class, e.state, e.key_number, "    \
    "e.sealed FROM submissions s LEFT JOIN evidence e ON " evidence                                \
    " AND e.day = $2::date AND e.id = $1::uuid WHERE " submission                                  \
    "s.day = $2::date AND s.id = $1::uuid"

struct ask {
    struct store *store;
    struct uuid project, id;
    int64_t retention_class;
    bool any;      /* asked of every class */
    bool of_owner; /* row has what the alias says */
    struct store_result_row row;
    store_result_fn *done;
    void *opaque;
};

static void on_rows(void *opaque, const struct db_result *rows, const struct err *err);

static int send(struct ask *ask)
{
    static const struct db_statement usual = {
        "gw_result", RESULT("s.class = $3::smallint AND ", "e.class = $3::smallint")};
    static const struct db_statement any = {"gw_result_any", RESULT("", "e.class = s.class")};
    struct db_param params[] = {db_uuid(&ask->id), db_day(uuid_day(&ask->id)),
                                db_int(ask->retention_class)};
    return store_rows(ask->store, on_rows, ask, &ask->project, ask->any ? &any : &usual, params,
                      ask->any ? 2 : 3);
}

static void finish(struct ask *ask, const struct err *err)
{
    ask->done(ask->opaque, &ask->row, err);
    free(ask);
}

static void again(struct ask *ask)
{
    struct err err = {0};
    if (send(ask) == 0)
        return;
    err_set(&err, ERR_DATABASE, "the connection to PostgreSQL is lost");
    finish(ask, &err);
}

static void read_submission(struct ask *ask, const struct db_result *rows)
{
    struct store_result_row *row = &ask->row;
    row->found = true;
    row->created_ns = db_get_time_ns(rows, 0, 1);
    if (!db_is_null(rows, 0, 2) && language_find(db_get_text(rows, 0, 2), &row->language) != 0)
        row->language = LANGUAGE_python;
}

static void read_evidence(struct ask *ask, const struct db_result *rows)
{
    struct store_result_row *row = &ask->row;
    row->erased =
        span_is(db_get_text(rows, 0, 0), "erased") || span_is(db_get_text(rows, 0, 5), "erased");
    row->effective = ask->id;
    row->retention_class = (uint16_t)db_get_int(rows, 0, 4);
    row->has_verdict = span_is(db_get_text(rows, 0, 5), "stored");
    if (row->has_verdict) {
        row->key_number = (uint64_t)db_get_int(rows, 0, 6);
        row->sealed = db_get_bytes(rows, 0, 7);
    }
}

/* Of its project's class by now, else of the one it had; then an alias' owner, of the alias' class
 * as a rule. An owner whose day was dropped took the result along. */
static void on_rows(void *opaque, const struct db_result *rows, const struct err *err)
{
    struct ask *ask = opaque;
    bool there = !err->code && db_rows(rows) > 0;
    if (there && !ask->of_owner)
        read_submission(ask, rows);
    if (!err->code && !there && !ask->any) {
        ask->any = true;
        again(ask);
    } else if (there && !ask->of_owner && span_is(db_get_text(rows, 0, 0), "alias") &&
               !db_is_null(rows, 0, 3)) {
        ask->of_owner = true;
        ask->any = false;
        ask->id = db_get_uuid(rows, 0, 3);
        ask->retention_class = db_get_int(rows, 0, 4);
        again(ask);
    } else {
        if (there)
            read_evidence(ask, rows);
        else
            ask->row.erased = ask->of_owner;
        finish(ask, err);
    }
}

int store_result(struct store *store, const struct uuid *project, uint16_t retention_class,
                 const struct uuid *id, store_result_fn *done, void *opaque)
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask)
        return -1;
    *ask = (struct ask){.store = store,
                        .project = *project,
                        .id = *id,
                        .retention_class = retention_class,
                        .row = {.effective = *id},
                        .done = done,
                        .opaque = opaque};
    if (send(ask) == 0)
        return 0;
    free(ask);
    return -1;
}
