/* persist's transaction: rows of evidence in log order, first wins, and everything that hangs on
 * a row that was stored. Two round trips for a batch. Called by persist.c alone. */
#pragma once
#include "consumers/persist_rules.h"
#include "consumers/runtime/stage.h"
#include "lib/db/db.h"
#include "schemas/result.h"

/* One verdict record of the batch, in log order. */
struct verdict_item {
    const struct record *rec;
    struct envelope env;
    enum persist_finding finding;
    struct result_summary summary; /* PERSIST_STORE */
    uint8_t body_hash[32];         /* PERSIST_STORE: keyed hash of the canonical plaintext */
    const char *why;               /* PERSIST_DEAD */
    bool stored;                   /* out: this record's row is the one that is kept */
};

/* Stores what is PERSIST_STORE or PERSIST_ERASED, and moves the offsets, in one transaction.
 * ERR_EXPIRED: a partition went away meanwhile; nothing was stored. */
int persist_store(struct db *db, struct verdict_item *items, size_t count, const struct mark *marks,
                  size_t mark_count, struct err *err) MUST_CHECK;
