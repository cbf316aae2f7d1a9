/* Parameters on their way out. uuid and bytea go in binary; everything else as text, whose type the
 * server infers, so that one db_int fits smallint, integer and bigint. */
#include "lib/base/buf.h"
#include "lib/base/strict.h"
#include "lib/db/db_internal.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static void set_text(struct db_encoded *out, size_t i, const char *text)
{
    out->values[i] = text;
    out->formats[i] = 0;
}

static void set_binary(struct db_encoded *out, size_t i, const void *data, size_t len)
{
    CHECK(len <= INT_MAX);
    out->values[i] = data ? data : "";
    out->lengths[i] = (int)len;
    out->formats[i] = 1;
}

/* "{a,b}" */
static int set_array(const struct db_param *param, struct db_encoded *out, size_t i,
                     struct err *err)
{
    struct buf text = {.max = param->count * UUID_TEXT + 2};
    buf_add(&text, "{", 1);
    for (size_t k = 0; k < param->count; k++) {
        char item[UUID_TEXT];
        if (param->type == DB_UUIDS)
            uuid_format(&param->uuids[k], item);
        else
            snprintf(item, sizeof item, "%" PRId64, param->ints[k]);
        if (k > 0)
            buf_add(&text, ",", 1);
        buf_puts(&text, item);
    }
    buf_add(&text, "}", 1);
    out->owned[i] = text.data;
    set_text(out, i, text.data);
    return text.failed ? err_set(err, ERR_NO_MEMORY, "query parameters") : 0;
}

static int set_copy(struct span span, struct db_encoded *out, size_t i, struct err *err)
{
    if (span.len > 0 && memchr(span.data, 0, span.len))
        return err_set(err, ERR_INVALID, "parameter %zu: text with a NUL byte", i + 1);
    out->owned[i] = malloc(span.len + 1);
    if (!out->owned[i])
        return err_set(err, ERR_NO_MEMORY, "query parameters");
    if (span.len > 0)
        memcpy(out->owned[i], span.data, span.len);
    out->owned[i][span.len] = '\0';
    set_text(out, i, out->owned[i]);
    return 0;
}

static int encode_one(const struct db_param *param, struct db_encoded *out, size_t i,
                      struct err *err)
{
    char *small = out->small[i];
    switch (param->type) {
    case DB_NULL:
        out->values[i] = NULL;
        return 0;
    case DB_INT:
        snprintf(small, sizeof out->small[i], "%" PRId64, param->i);
        break;
    case DB_BOOL:
        snprintf(small, sizeof out->small[i], "%s", param->b ? "t" : "f");
        break;
    case DB_DAY:
        day_format((int32_t)param->i, small);
        break;
    case DB_TIME:
        rfc3339_format(param->i, small);
        break;
    case DB_TEXT:
        return set_copy(param->span, out, i, err);
    case DB_BYTES:
        set_binary(out, i, param->span.data, param->span.len);
        return 0;
    case DB_UUID:
        set_binary(out, i, param->uuids->bytes, sizeof param->uuids->bytes);
        return 0;
    case DB_UUIDS:
    case DB_INTS:
        return set_array(param, out, i, err);
    }
    set_text(out, i, small);
    return 0;
}

int db_encode(const struct db_param *params, size_t count, struct db_encoded *out, struct err *err)
{
    CHECK(count <= DB_PARAMS_MAX);
    out->count = count;
    memset(out->owned, 0, sizeof out->owned);
    memset(out->formats, 0, sizeof out->formats);
    for (size_t i = 0; i < count; i++)
        if (encode_one(&params[i], out, i, err))
            return -1;
    return 0;
}

void db_encoded_done(struct db_encoded *encoded)
{
    for (size_t i = 0; i < encoded->count; i++)
        free(encoded->owned[i]);
}
