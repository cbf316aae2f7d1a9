/* The list of submissions (store.h): the newest are walked in the order of their ids, STORE_WALK of
 * them at most and in the days of a window, since every partition costs planning; what does not fit
 * the filter is left out on the way. A filter that next to nothing fits costs a bounded walk, not
 * the whole table. */
#include "lib/base/strict.h"
#include "producers/gateway/store_impl.h"

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number
#define WALK TEXT_OF(STORE_WALK)

#define NEWEST                                                                                     \
    "SELECT class, day, id, decision, owner_id, language, profile, created_at, labels FROM "       \
    "submissions WHERE project_id = $1::uuid AND id < $2::uuid AND day BETWEEN $3::date AND "      \
    "$4::date ORDER BY id DESC LIMIT " WALK
/* The owner's day is in the first 48 bits of its id. */
#define WALKED                                                                                     \
    "SELECT class, day, id, language, profile, created_at, "                                       \
    "row_number() OVER (ORDER BY id DESC) AS n, "                                                  \
    "CASE decision WHEN 'alias' THEN owner_id END AS owner, "                                      \
    "CASE decision WHEN 'alias' THEN date '1970-01-01' + (('x' || "                                \
    "left(translate(owner_id::text, '-', ''), 12))::bit(48)::bigint / 86400000)::integer END "     \
    "AS owner_day, decision <> 'erased' AND ($6::text IS NULL OR coalesce(language = $6, false)) " \
    "AND ($7::uuid IS NULL OR coalesce(labels @> ARRAY[$7], false)) AS fits FROM (" NEWEST ") w"
/* Its own, or of an alias its owner's, who lies within a day and may be of another class. */
#define RESULT                                                                                     \
    "SELECT state, verdict, cause, completed_at, cpu_ns, wall_ns, memory_peak_bytes, exit_code, "  \
    "signal FROM evidence WHERE project_id = $1::uuid AND s.fits AND "
#define EVIDENCE                                                                                   \
    RESULT "s.owner IS NULL AND class = s.class AND day = s.day AND id = s.id AND "                \
           "day BETWEEN $3::date AND $4::date UNION ALL " RESULT                                   \
           "s.owner IS NOT NULL AND day = s.owner_day AND id = s.owner AND "                       \
           "day BETWEEN $3::date - 1 AND $4::date + 1"
#define FITS                                                                                       \
    "(s.fits AND e.state IS DISTINCT FROM 'erased' AND "                                           \
    "($5::text IS NULL OR coalesce(e.verdict = $5, false)))"

int store_list(struct store *store, const struct uuid *project, const struct store_filter *filter,
               int limit, store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_list",
        "SELECT s.id, s.language, s.profile, s.created_at, e.verdict, e.cause, e.completed_at, "
        "e.cpu_ns, e.wall_ns, e.memory_peak_bytes, e.exit_code, e.signal, " FITS ", s.n = " WALK
        " FROM (" WALKED ") s LEFT JOIN LATERAL (" EVIDENCE ") e ON true "
        "WHERE s.n = " WALK " OR " FITS " ORDER BY s.id DESC LIMIT $8::bigint"};
    struct db_param params[] = {db_uuid(project),          db_uuid(filter->before),
                                db_day(filter->first_day), db_day(filter->last_day),
                                db_text(filter->verdict),  db_text(filter->language),
                                db_uuid(filter->label),    db_int(limit)};
    return store_page(store, done, opaque, project, &statement, params, COUNT_OF(params));
}

int store_days(struct store *store, const struct uuid *project, int32_t last_day,
               store_rows_fn *done, void *opaque)
{
    static const struct db_statement statement = {
        "gw_days",
        "SELECT day FROM usage u WHERE project_id = $1::uuid AND kind = 'requests' AND "
        "day BETWEEN (SELECT min(day) FROM partition_days WHERE NOT dropped) AND $2::date "
        "ORDER BY day DESC LIMIT $3::bigint"};
    struct db_param params[] = {db_uuid(project), db_day(last_day), db_int(STORE_DAYS)};
    return store_page(store, done, opaque, project, &statement, params, COUNT_OF(params));
}
