/* For the files that hold the statements of store.h, and nobody else. */
#pragma once
#include "producers/gateway/store.h"

/* project: set for the row policies in the statement's transaction; NULL = it needs no tenant. */
int store_rows(struct store *store, store_rows_fn *done, void *opaque, const struct uuid *project,
               const struct db_statement *statement, const struct db_param *params,
               size_t count) MUST_CHECK;
/* The same for a page of a list, whose statement says ORDER BY and LIMIT over an index of that
 * order: planned for a table without statistics, or as long as that was short, it would be read
 * whole and sorted. */
int store_page(struct store *store, store_rows_fn *done, void *opaque, const struct uuid *project,
               const struct db_statement *statement, const struct db_param *params,
               size_t count) MUST_CHECK;
