/* For the files that hold the statements of store.h, and nobody else. */
#pragma once
#include "producers/gateway/store.h"

/* project: set for the row policies in the statement's transaction; NULL = it needs no tenant. */
int store_rows(struct store *store, store_rows_fn *done, void *opaque, const struct uuid *project,
               const struct db_statement *statement, const struct db_param *params,
               size_t count) MUST_CHECK;
