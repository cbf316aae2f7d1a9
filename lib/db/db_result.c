/* Rows on their way in. Results are binary; a getter checks the column's type, because a wrong
 * one would read another meaning out of the same bytes. */
#include "lib/base/strict.h"
#include "lib/db/db_internal.h"
#include <endian.h>
#include <stdlib.h>

#define POSTGRES_EPOCH_DAY 10957 /* 2000-01-01 */
enum oid {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
};

void db_result_done(struct db_result *result)
{
    PQclear(result->rows);
    result->rows = NULL;
}

size_t db_rows(const struct db_result *result)
{
    return result->rows ? (size_t)PQntuples(result->rows) : 0;
}

size_t db_affected(const struct db_result *result)
{
    uint64_t count = 0;
    if (result->rows && span_u64(span_text(PQcmdTuples(result->rows)), &count))
        count = 0;
    return (size_t)count;
}

bool db_is_null(const struct db_result *result, size_t row, int column)
{
    CHECK(row < db_rows(result) && column < PQnfields(result->rows));
    return PQgetisnull(result->rows, (int)row, column);
}

static Oid type_of(const struct db_result *result, int column)
{
    return PQftype(result->rows, column);
}

static struct span raw(const struct db_result *result, size_t row, int column)
{
    return span_of(PQgetvalue(result->rows, (int)row, column),
                   (size_t)PQgetlength(result->rows, (int)row, column));
}

/* A column that must not be NULL, with its value's bytes. */
static struct span fixed(const struct db_result *result, size_t row, int column, Oid type,
                         size_t len)
{
    CHECK(!db_is_null(result, row, column));
    CHECK(type_of(result, column) == type);
    struct span value = raw(result, row, column);
    CHECK(value.len == len);
    return value;
}

int64_t db_get_int(const struct db_result *result, size_t row, int column)
{
    CHECK(!db_is_null(result, row, column));
    struct span value = raw(result, row, column);
    uint16_t small;
    uint32_t medium;
    uint64_t large;
    switch (type_of(result, column)) {
    case OID_INT2:
        memcpy(&small, value.data, sizeof small);
        return (int16_t)be16toh(small);
    case OID_INT4:
        memcpy(&medium, value.data, sizeof medium);
        return (int32_t)be32toh(medium);
    default:
        CHECK(type_of(result, column) == OID_INT8);
        memcpy(&large, value.data, sizeof large);
        return (int64_t)be64toh(large);
    }
}

bool db_get_bool(const struct db_result *result, size_t row, int column)
{
    return *(const char *)fixed(result, row, column, OID_BOOL, 1).data != 0;
}

struct span db_get_text(const struct db_result *result, size_t row, int column)
{
    if (db_is_null(result, row, column))
        return SPAN_LIT("");
    Oid type = type_of(result, column);
    CHECK(type == OID_TEXT || type == OID_VARCHAR || type == OID_NAME || type == OID_BPCHAR);
    return raw(result, row, column);
}

struct span db_get_bytes(const struct db_result *result, size_t row, int column)
{
    if (db_is_null(result, row, column))
        return SPAN_LIT("");
    CHECK(type_of(result, column) == OID_BYTEA);
    return raw(result, row, column);
}

struct uuid db_get_uuid(const struct db_result *result, size_t row, int column)
{
    struct uuid id;
    memcpy(id.bytes, fixed(result, row, column, OID_UUID, sizeof id.bytes).data, sizeof id.bytes);
    return id;
}

int32_t db_get_day(const struct db_result *result, size_t row, int column)
{
    uint32_t days;
    memcpy(&days, fixed(result, row, column, OID_DATE, sizeof days).data, sizeof days);
    return (int32_t)be32toh(days) + POSTGRES_EPOCH_DAY;
}

int64_t db_get_time_ns(const struct db_result *result, size_t row, int column)
{
    uint64_t us;
    memcpy(&us, fixed(result, row, column, OID_TIMESTAMPTZ, sizeof us).data, sizeof us);
    return ((int64_t)be64toh(us) + POSTGRES_EPOCH_DAY * DAY_MS * 1000) * 1000;
}
