/* admit's transaction 1 (delivery.md rule 10): reads what decides, decides by admit_rules, stores,
 * moves counters and offsets, commits. One round trip for the usual batch, two where something has
 * to be read first. Called by admit.c alone. */
#pragma once
#include "consumers/admit_known.h"
#include "consumers/admit_rules.h"
#include "consumers/runtime/stage.h"
#include "lib/db/db.h"
#include "schemas/submission.h"

/* One record of `submissions`, in log order within its partition. */
struct admit_item {
    const struct record *rec;
    struct envelope env;
    enum admit_finding finding;
    char message[RESULT_MESSAGE_MAX];
    struct uuid endpoint; /* counts when webhook has bytes: what came with it (rule 13) */
    struct buf webhook;   /* its sealed document; owned */
    struct uuid labels[LABELS_MAX]; /* their hashes, once validated */
    size_t label_count;
    bool fresh;           /* out: this record's row was inserted */
    bool has_row;         /* out: row counts */
    struct admit_row row; /* out: the stored decision */
};

/* Does the finding get a row at all? */
bool admit_has_row(const struct admit_item *item);
/* ERR_BUSY, ERR_EXPIRED: nothing was stored, decide again. `known` is kept up to date; it is relied
 * on when `guess` is set. now_ms is monotonic. */
int admit_store(struct db *db, struct admit_known *known, bool guess, int64_t now_ms,
                struct admit_item *items, size_t count, const struct mark *marks, size_t mark_count,
                struct err *err) MUST_CHECK;
