/* Owners of idempotency keys (owner_rules.h): pure decisions, shared by admit and the gateway. */
#include "schemas/owner_rules.h"

bool owner_day_fits(int32_t day, int64_t broker_ms)
{
    int64_t start = (int64_t)day * DAY_MS;
    return broker_ms >= start - OWNER_DAY_SLACK_MS &&
           broker_ms <= start + DAY_MS + OWNER_DAY_SLACK_MS;
}

bool owner_place_fits(const struct envelope *env, int32_t partition, int64_t broker_ms)
{
    return envelope_partition(env, TOPIC_submissions) == partition &&
           owner_day_fits(uuid_day(&env->id), broker_ms);
}

static bool in_window(int32_t a, int32_t b)
{
    return a - b >= -1 && a - b <= 1;
}

const struct key_record *owner_find(const struct key_record *records, size_t count, int32_t day)
{
    const struct key_record *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct key_record *rec = &records[i];
        if (rec->owns && in_window(uuid_day(&rec->id), day) &&
            (!found || rec->offset < found->offset))
            found = rec;
    }
    return found;
}

enum key_answer owner_judge(const struct key_record *records, size_t count, int32_t day,
                            const uint8_t fingerprint[32], const struct key_record **owner)
{
    const struct key_record *found = owner_find(records, count, day);
    if (!found)
        return KEY_FREE;
    if (owner)
        *owner = found;
    if (found->erased)
        return KEY_ERASED;
    return memcmp(found->fingerprint, fingerprint, 32) == 0 ? KEY_REPEAT : KEY_CONFLICT;
}

/* Insertion sort: a key has few records. Stored rows come before records of the same offset. */
static void sort_by_offset(struct key_record *records, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct key_record rec = records[i];
        size_t j = i;
        for (; j > 0 && records[j - 1].offset > rec.offset; j--)
            records[j] = records[j - 1];
        records[j] = rec;
    }
}

static bool stored(const struct key_record *records, size_t rows, int64_t offset)
{
    for (size_t i = 0; i < rows; i++)
        if (records[i].offset == offset)
            return true;
    return false;
}

size_t owner_fold(struct key_record *records, size_t rows, size_t count, int64_t before)
{
    size_t kept_rows = 0;
    for (size_t i = 0; i < rows; i++)
        if (records[i].offset < before)
            records[kept_rows++] = records[i];
    size_t kept = kept_rows;
    for (size_t i = rows; i < count; i++)
        if (records[i].offset < before && !stored(records, kept_rows, records[i].offset)) {
            records[kept] = records[i];
            records[kept++].owns = false;
        }
    /* A tail record owns when nothing before it in log order does. Stored rows are decided, and
     * count wherever they lie: admit decided them from the whole log. */
    sort_by_offset(records + kept_rows, kept - kept_rows);
    for (size_t i = kept_rows; i < kept; i++)
        records[i].owns = !owner_find(records, i, uuid_day(&records[i].id));
    sort_by_offset(records, kept);
    return kept;
}
