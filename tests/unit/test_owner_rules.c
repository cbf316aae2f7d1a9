/* Owners of idempotency keys, compared over every small log with delivery.md rules 7 and 8 written
 * the long way round: each record's state is decided from the start of the log. */
#include "schemas/owner_rules.h"
#include "tests/unit/unit.h"

#define DAY0 20000
#define LOG_MAX 4

struct item {
    int32_t day;
    int body; /* 0 or 1 */
    bool odd; /* forged or of a wrong day: never owns */
};

static struct uuid id_of_day(int32_t day, int n)
{
    struct rnd rnd = rnd_seeded((uint64_t)n + 1);
    return uuid_v7_at((int64_t)day * DAY_MS + 1000 * n, &rnd);
}

static struct key_record record_of(const struct item *item, int offset)
{
    struct key_record rec = {.offset = offset, .id = id_of_day(item->day, offset)};
    rec.fingerprint[0] = (uint8_t)item->body;
    return rec;
}

/* Rule 8, literally: owner[o] is the offset that owns o's key in o's window, -1 for odd records. */
static void truth(const struct item *log, int len, int *owner)
{
    for (int o = 0; o < len; o++) {
        owner[o] = -1;
        if (log[o].odd)
            continue;
        owner[o] = o;
        for (int p = 0; p < o; p++)
            if (owner[p] == p && abs(log[p].day - log[o].day) <= 1) {
                owner[o] = p;
                break;
            }
    }
}

/* owners_only: what a query by key hash gives, as repeats are stored without it. */
static void check_log(const struct item *log, int len, bool owners_only)
{
    int owner[LOG_MAX];
    truth(log, len, owner);
    int own = len - 1; /* the last record is the one in hand; never odd */
    /* every stored prefix, every begin of the tail at or below it */
    for (int stored = 0; stored <= len; stored++)
        for (int begin = 0; begin <= stored && begin <= own; begin++) {
            struct key_record recs[2 * LOG_MAX];
            size_t rows = 0, count;
            for (int o = 0; o < stored; o++)
                if (owners_only ? owner[o] == o : owner[o] >= 0) {
                    recs[rows] = record_of(&log[o], o);
                    recs[rows++].owns = owner[o] == o;
                }
            count = rows;
            for (int o = begin; o < len; o++)
                if (!log[o].odd)
                    recs[count++] = record_of(&log[o], o);
            count = owner_fold(recs, rows, count, own);
            const struct key_record *found = NULL;
            uint8_t fingerprint[32] = {(uint8_t)log[own].body};
            enum key_answer says = owner_judge(recs, count, log[own].day, fingerprint, &found);
            if (owner[own] == own) {
                assert_int_equal(says, KEY_FREE);
                continue;
            }
            assert_non_null(found);
            assert_int_equal(found->offset, owner[own]);
            assert_int_equal(says,
                             log[owner[own]].body == log[own].body ? KEY_REPEAT : KEY_CONFLICT);
        }
}

/* All logs of up to four records over five days, two bodies, odd or not. */
static void test_every_small_log(void **state)
{
    (void)state;
    enum { KINDS = 5 * 2 * 2 };
    long logs = 0;
    for (int len = 1; len <= LOG_MAX; len++) {
        long all = 1;
        for (int i = 0; i < len; i++)
            all *= KINDS;
        for (long n = 0; n < all; n++) {
            struct item log[LOG_MAX];
            long rest = n;
            for (int i = 0; i < len; i++, rest /= KINDS) {
                int kind = (int)(rest % KINDS);
                log[i] = (struct item){DAY0 + kind % 5, kind / 5 % 2, kind / 10};
            }
            if (log[len - 1].odd)
                continue;
            check_log(log, len, false);
            check_log(log, len, true);
            logs++;
        }
    }
    assert_true(logs > 80000);
}

static void test_erased_owner(void **state)
{
    (void)state;
    struct key_record rec = {.offset = 7, .id = id_of_day(DAY0, 1), .owns = true, .erased = true};
    uint8_t fingerprint[32] = {0};
    const struct key_record *found = NULL;
    assert_int_equal(owner_judge(&rec, 1, DAY0 + 1, fingerprint, &found), KEY_ERASED);
    assert_ptr_equal(found, &rec);
    assert_int_equal(owner_judge(&rec, 1, DAY0 + 2, fingerprint, &found), KEY_FREE);
}

static void test_day_fits(void **state)
{
    (void)state;
    int64_t start = (int64_t)DAY0 * DAY_MS;
    assert_true(owner_day_fits(DAY0, start));
    assert_true(owner_day_fits(DAY0, start - 3600000));
    assert_false(owner_day_fits(DAY0, start - 3600001));
    assert_true(owner_day_fits(DAY0, start + DAY_MS + 3600000));
    assert_false(owner_day_fits(DAY0, start + DAY_MS + 3600001));
}

static void test_place(void **state)
{
    (void)state;
    struct envelope env = {.type = RECORD_submission, .id = id_of_day(DAY0, 3)};
    int64_t noon = (int64_t)DAY0 * DAY_MS + DAY_MS / 2;
    int32_t right = envelope_partition(&env, TOPIC_submissions);
    assert_true(owner_place_fits(&env, right, noon));
    assert_false(owner_place_fits(&env, right + 1, noon));
    assert_false(owner_place_fits(&env, right, noon + 2 * DAY_MS));
    env.keyed = true;
    memset(env.key_hash, 0xff, sizeof(env.key_hash));
    int32_t keyed = partition_of_key(env.key_hash, topic_spec(TOPIC_submissions)->partitions);
    assert_true(owner_place_fits(&env, keyed, noon));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_small_log),
        cmocka_unit_test(test_erased_owner),
        cmocka_unit_test(test_day_fits),
        cmocka_unit_test(test_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
