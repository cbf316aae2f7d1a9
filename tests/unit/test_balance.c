/* producers/cli/balance_rules: every accepted id in exactly one class; planted losses and
 * duplicates. */
#include "producers/cli/balance_rules.h"
#include "tests/unit/unit.h"

static struct uuid id_of(uint64_t n)
{
    struct rnd rnd = rnd_seeded(n);
    return uuid_v7_at(INT64_C(1795464900000) + (int64_t)n, &rnd);
}

static void accept(struct balance *balance, uint64_t n, bool expired)
{
    struct err err;
    struct uuid id = id_of(n);
    assert_ok(balance_accepted(balance, &id, expired, &err), err);
}

static void row(struct balance *balance, uint64_t n, enum row_state state)
{
    struct err err;
    struct uuid id = id_of(n);
    assert_ok(balance_row(balance, &id, state, &err), err);
}

static void carry(struct balance *balance, uint64_t n)
{
    struct err err;
    struct uuid id = id_of(n);
    assert_ok(balance_carrier(balance, &id, &err), err);
}

static void dead(struct balance *balance, uint64_t n)
{
    struct err err;
    struct uuid id = id_of(n);
    assert_ok(balance_dead(balance, &id, &err), err);
}

static void adds_up(const struct balance_count *count)
{
    assert_int_equal(count->accepted, count->finished + count->alias + count->erased +
                                          count->expired + count->dead + count->in_flight +
                                          count->difference);
}

static void one_of_each(void **state)
{
    (void)state;
    struct balance balance;
    balance_init(&balance, 1000);
    for (uint64_t n = 0; n < 11; n++)
        accept(&balance, n, n == 5 || n == 0);
    row(&balance, 0, ROW_FINISHED); /* its day is gone by now, the row in the snapshot counts */
    row(&balance, 1, ROW_ALIAS);
    row(&balance, 2, ROW_ERASED);
    row(&balance, 3, ROW_HELD);
    row(&balance, 4, ROW_OPEN);
    carry(&balance, 4);
    dead(&balance, 6);
    row(&balance, 7, ROW_FINISHED); /* a late copy outside its day went to `dead`: finished */
    dead(&balance, 7);
    row(&balance, 8, ROW_OPEN);  /* planted: a job that vanished */
    row(&balance, 10, ROW_OPEN); /* planted: lost, though a copy of it lies in `dead` */
    dead(&balance, 10);
    /* 9: planted: no row at all */
    struct uuid lost[5];
    struct balance_count count = balance_classes(&balance, lost, 5);
    adds_up(&count);
    assert_int_equal(count.accepted, 11);
    assert_int_equal(count.finished, 2);
    assert_int_equal(count.alias, 1);
    assert_int_equal(count.erased, 1);
    assert_int_equal(count.expired, 1);
    assert_int_equal(count.dead, 1);
    assert_int_equal(count.in_flight, 2);
    assert_int_equal(count.held, 1);
    assert_int_equal(count.difference, 3);
    struct uuid ten = id_of(10), eight = id_of(8), nine = id_of(9);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            uuid_eq(&lost[i], &eight) + uuid_eq(&lost[i], &nine) + uuid_eq(&lost[i], &ten), 1);
    balance_done(&balance);
}

/* A former owner repeats everything: distinct ids are counted, not records. */
static void duplicates_change_nothing(void **state)
{
    (void)state;
    struct balance balance;
    balance_init(&balance, 1000);
    for (int again = 0; again < 3; again++) {
        for (uint64_t n = 0; n < 4; n++)
            accept(&balance, n, false);
        row(&balance, 0, ROW_FINISHED);
        row(&balance, 1, ROW_OPEN);
        carry(&balance, 0); /* its job lies in the log again; it is finished nevertheless */
        carry(&balance, 1);
        carry(&balance, 1);
        row(&balance, 2, ROW_ALIAS);
    }
    carry(&balance, 3);
    struct balance_count count = balance_classes(&balance, NULL, 0);
    adds_up(&count);
    assert_int_equal(count.accepted, 4);
    assert_int_equal(count.finished, 1);
    assert_int_equal(count.alias, 1);
    assert_int_equal(count.in_flight, 2);
    assert_int_equal(count.difference, 0);
    balance_done(&balance);
}

/* "closed" and "found" of ids behind the vector must not hide a loss below it. */
static void only_accepted_ids_are_classed(void **state)
{
    (void)state;
    struct balance balance;
    balance_init(&balance, 1000);
    accept(&balance, 0, false); /* lost */
    row(&balance, 1, ROW_FINISHED);
    row(&balance, 2, ROW_ALIAS);
    carry(&balance, 3);
    dead(&balance, 4);
    row(&balance, 5, ROW_OPEN);
    struct balance_count count = balance_classes(&balance, NULL, 0);
    adds_up(&count);
    assert_int_equal(count.accepted, 1);
    assert_int_equal(count.difference, 1);
    balance_done(&balance);
}

/* Random histories against a count by hand, beyond several growths of the table. */
static void many_ids(void **state)
{
    (void)state;
    struct balance balance;
    struct balance_count want = {0};
    struct rnd rnd = rnd_seeded(99);
    balance_init(&balance, 100000);
    for (uint64_t n = 0; n < 50000; n++) {
        uint8_t dice;
        rnd_fill(&rnd, &dice, 1);
        accept(&balance, n, false);
        want.accepted++;
        if (dice < 100) {
            row(&balance, n, ROW_FINISHED);
            want.finished++;
        } else if (dice < 150) {
            row(&balance, n, ROW_ALIAS);
            want.alias++;
        } else if (dice < 250) {
            row(&balance, n, ROW_OPEN);
            carry(&balance, n);
            want.in_flight++;
        } else {
            row(&balance, n, ROW_OPEN);
            want.difference++;
        }
    }
    struct balance_count count = balance_classes(&balance, NULL, 0);
    assert_memory_equal(&count, &want, sizeof count);
    assert_true(want.difference > 0);
    balance_done(&balance);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct balance balance;
    struct err err;
    balance_init(&balance, 3);
    for (uint64_t n = 0; n < 3; n++)
        accept(&balance, n, false);
    accept(&balance, 1, false); /* known: no more room needed */
    struct uuid fourth = id_of(3);
    assert_err(balance_accepted(&balance, &fourth, false, &err), err, ERR_TOO_LARGE);
    balance_done(&balance);
}

static void rows_as_stored(void **state)
{
    (void)state;
    static const struct {
        const char *decision, *evidence;
        enum row_state state;
    } cases[] = {
        {"admit", NULL, ROW_OPEN},
        {"admit", "stored", ROW_FINISHED},
        {"admit", "erased", ROW_ERASED},
        {"held", NULL, ROW_HELD},
        {"held", "stored", ROW_FINISHED},
        {"rejected", NULL, ROW_OPEN},
        {"rejected", "stored", ROW_FINISHED},
        {"cancelled", NULL, ROW_OPEN},
        {"unreadable", "stored", ROW_FINISHED},
        {"conflict", NULL, ROW_OPEN},
        {"conflict", "stored", ROW_FINISHED},
        {"alias", NULL, ROW_ALIAS},
        {"erased", NULL, ROW_ERASED},
        {"erased", "stored", ROW_ERASED},
    };
    struct err err;
    enum row_state got;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_ok(balance_row_state(span_text(cases[i].decision), span_text(cases[i].evidence),
                                    &got, &err),
                  err);
        assert_int_equal(got, cases[i].state);
    }
    assert_err(balance_row_state(SPAN_LIT("postponed"), span_of(NULL, 0), &got, &err), err,
               ERR_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_each),
        cmocka_unit_test(duplicates_change_nothing),
        cmocka_unit_test(only_accepted_ids_are_classed),
        cmocka_unit_test(many_ids),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(rows_as_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
