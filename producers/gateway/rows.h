/* Answers made of rows of the database: members from columns, and pages of a list. */
#pragma once
#include "producers/gateway/gateway.h"
#include <inttypes.h>

#define ROWS_PAGE 50
#define ROWS_PAGE_MAX 500

/* limit, and a cursor that is an id (before = NULL: read by the caller); -1 after http_error. */
int rows_page_asked(struct request *req, int *limit, const char **cursor, struct uuid *before);
/* "name":value with the comma before it, null where the column is; an id has no comma. */
void rows_put_time(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                   int column);
void rows_put_text(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                   int column);
void rows_put_known(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                    int column); /* left out where there is none */
void rows_put_id(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                 int column);
void rows_put_int(struct buf *out, const char *name, const struct db_result *rows, size_t row,
                  int column);

/* A page of a list: at most limit of count rows. One more than the limit was asked for: it says
 * that there is a next page, by next_cursor. */
struct rows_list {
    const char *name;
    size_t bytes_max; /* of the answer */
    void (*put)(struct buf *out, const void *owner, const struct db_result *rows, size_t row);
    void (*put_cursor)(struct buf *out, const struct db_result *rows, size_t row); /* of the last */
};
struct buf rows_page(const struct rows_list *list, const void *owner, int limit,
                     const struct db_result *rows, size_t count);
void rows_put_cursor(struct buf *out, const struct db_result *rows, size_t row); /* column 0 */
