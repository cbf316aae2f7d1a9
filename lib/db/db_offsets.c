/* consumer_offsets: how far a stage's effects in the database reach (delivery.md rule 3). */
#include "lib/base/cleanup.h"
#include "lib/db/db_internal.h"
#include <stdlib.h>

static const struct db_statement read_offsets = {
    "offsets_read",
    "SELECT partition, next_offset FROM consumer_offsets WHERE topic = $1 ORDER BY partition"};

/* Rows are locked in ascending order before they are updated: two owners of the same partitions,
 * one of them late, then wait for each other instead of deadlocking. */
static const struct db_statement advance_offsets = {
    "offsets_advance",
    "WITH mine AS (SELECT * FROM unnest($2::integer[], $3::bigint[]) AS m (partition, "
    "next_offset)), "
    "locked AS MATERIALIZED (SELECT o.partition FROM consumer_offsets o "
    "WHERE o.topic = $1 AND o.partition IN (SELECT partition FROM mine) ORDER BY o.partition FOR "
    "UPDATE) "
    "UPDATE consumer_offsets o SET next_offset = greatest(o.next_offset, mine.next_offset) "
    "FROM mine JOIN locked USING (partition) WHERE o.topic = $1 AND o.partition = mine.partition"};

/* The usual batch touches one or two partitions; this is a third of the cost. */
#define ADVANCE_SINGLY 3
static const struct db_statement advance_offset = {
    "offset_advance", "UPDATE consumer_offsets SET next_offset = greatest(next_offset, $3::bigint) "
                      "WHERE topic = $1 AND partition = $2::integer"};

static const struct db_statement create_offsets = {
    "offsets_create",
    "INSERT INTO consumer_offsets (topic, partition, next_offset) "
    "SELECT $1, p, 0 FROM generate_series(0, $2::integer - 1) AS p ON CONFLICT DO NOTHING"};

int db_offsets_read(struct db *db, const char *topic, struct db_offset *out, size_t capacity,
                    size_t *count, struct err *err)
{
    DB_RESULT_AUTO rows = {0};
    if (db_exec(db, &read_offsets, (const struct db_param[]){db_text(topic)}, 1, &rows, err))
        return -1;
    size_t found = db_rows(&rows);
    if (found == 0 || found > capacity)
        return err_set(err, ERR_CONFIG,
                       "consumer_offsets has %zu rows for topic %s: create topics and apply the "
                       "migrations",
                       found, topic);
    for (size_t i = 0; i < found; i++) {
        out[i].partition = (int32_t)db_get_int(&rows, i, 0);
        out[i].next_offset = db_get_int(&rows, i, 1);
    }
    *count = found;
    return 0;
}

static int compare_partitions(const void *a, const void *b)
{
    const struct db_offset *x = a, *y = b;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

static int advance_singly(struct db *db, const char *topic, const struct db_offset *offsets,
                          size_t count, struct err *err)
{
    struct db_offset ascending[ADVANCE_SINGLY];
    memcpy(ascending, offsets, count * sizeof *offsets);
    qsort(ascending, count, sizeof *ascending, compare_partitions);
    for (size_t i = 0; i < count; i++) {
        const struct db_param params[] = {db_text(topic), db_int(ascending[i].partition),
                                          db_int(ascending[i].next_offset)};
        if (db_exec_affecting(db, &advance_offset, params, 3, 1, err))
            return -1;
    }
    return 0;
}

int db_offsets_advance(struct db *db, const char *topic, const struct db_offset *offsets,
                       size_t count, struct err *err)
{
    if (count == 0)
        return 0;
    if (count <= ADVANCE_SINGLY)
        return advance_singly(db, topic, offsets, count, err);
    AUTO_FREE int64_t *numbers = calloc(count * 2, sizeof *numbers);
    if (!numbers)
        return err_set(err, ERR_NO_MEMORY, "offsets");
    for (size_t i = 0; i < count; i++) {
        numbers[i] = offsets[i].partition;
        numbers[count + i] = offsets[i].next_offset;
    }
    const struct db_param params[] = {db_text(topic), db_ints(numbers, count),
                                      db_ints(numbers + count, count)};
    return db_exec_affecting(db, &advance_offsets, params, 3, count, err);
}

int db_offsets_create(struct db *db, const char *topic, int32_t partitions, struct err *err)
{
    const struct db_param params[] = {db_text(topic), db_int(partitions)};
    return db_exec(db, &create_offsets, params, 2, NULL, err);
}
