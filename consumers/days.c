/* Live days of the partitioned tables (days.h). */
#include "consumers/days.h"

#define UPKEEP_MS (60 * 60 * 1000)
#define DAYS_BACK                                                                                  \
    2 /* the key window: a record may come for yesterday, its owner from the day before */
#define DAYS_AHEAD 7

static const struct db_statement ensure = {"days_ensure",
                                           "SELECT rustbox.ensure_partitions($1::date, $2::date)"};
static const struct db_statement look = {
    "days_look", "SELECT dropped FROM rustbox.partition_days WHERE class = $1 AND day = $2"};

void days_forget(struct days *days)
{
    *days = (struct days){.count = 0};
}

static int ensure_range(struct db *db, int32_t from, int32_t to, struct err *err)
{
    struct db_param params[] = {db_day(from), db_day(to)};
    if (db_exec(db, &ensure, params, 2, NULL, err))
        return err_wrap(err, "day partitions");
    return 0;
}

int days_upkeep(struct days *days, struct db *db, const struct clock *clock, struct err *err)
{
    int64_t now = clock_mono_ms(clock);
    if (now < days->next_upkeep_ms)
        return 0;
    int32_t today = day_of_ms(clock_wall_ms(clock));
    if (ensure_range(db, today - DAYS_BACK, today + DAYS_AHEAD, err))
        return -1;
    days->next_upkeep_ms = now + UPKEEP_MS;
    return 0;
}

/* found = a row of partition_days; live = it is not dropped. */
static int look_up(struct db *db, uint16_t retention_class, int32_t day, bool *found, bool *live,
                   struct err *err)
{
    DB_RESULT_AUTO rows = {0};
    struct db_param params[] = {db_int(retention_class), db_day(day)};
    if (db_exec(db, &look, params, 2, &rows, err))
        return err_wrap(err, "day partitions");
    *found = db_rows(&rows) > 0;
    *live = *found && !db_get_bool(&rows, 0, 0);
    return 0;
}

static void remember(struct days *days, uint16_t retention_class, int32_t day, bool live)
{
    if (days->count == DAYS_KNOWN)
        days->count = 0;
    days->known[days->count++] = (struct known_day){day, retention_class, live};
}

int days_live(struct days *days, struct db *db, const struct clock *clock, uint16_t retention_class,
              int32_t day, bool *live, struct err *err)
{
    for (size_t i = 0; i < days->count; i++)
        if (days->known[i].day == day && days->known[i].retention_class == retention_class) {
            *live = days->known[i].live;
            return 0;
        }
    bool found;
    if (look_up(db, retention_class, day, &found, live, err))
        return -1;
    if (!found && !days_outside(retention_class, day, clock_wall_ms(clock))) {
        if (ensure_range(db, day, day, err) || look_up(db, retention_class, day, &found, live, err))
            return -1;
        if (!found)
            return err_set(err, ERR_BUG, "day partitions: made, and not there");
    }
    remember(days, retention_class, day, *live);
    return 0;
}
