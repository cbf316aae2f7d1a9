/* lib/base: errors, buffers, arenas, clock, randomness, UUIDs. */
#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/uuid.h"
#include "tests/unit/unit.h"

static void err_keeps_code_and_errno(void **state)
{
    (void)state;
    struct err err = {0};
    errno = ENOENT;
    assert_int_equal(err_sys(&err, ERR_SYSTEM, "open %s", "x"), -1);
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_int_equal(err.sys, ENOENT);
    assert_string_equal(err.message, "open x: No such file or directory");
    assert_int_equal(err_wrap(&err, "keystore"), -1);
    assert_string_equal(err.message, "keystore: open x: No such file or directory");
    assert_int_equal(err.code, ERR_SYSTEM);
    assert_int_equal(err_set(NULL, ERR_BUG, "no object"), -1);
}

static void err_is_one_line(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, ERR_DATABASE, "%s", "ERROR:  a\n\tb\n");
    assert_string_equal(err.message, "ERROR:  a  b");
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    err_set(&err, ERR_BUG, "%s", longer);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    err_set(&err, ERR_BUG, "again: %s", err.message);
    assert_memory_equal(err.message, "again: xxx", 10);
}

static void err_classes_and_names(void **state)
{
    (void)state;
    assert_int_equal(err_class(ERR_ERASED), ERR_REJECTED);
    assert_int_equal(err_class(ERR_BUSY), ERR_RETRY);
    assert_int_equal(err_class(ERR_CORRUPT), ERR_POISON);
    assert_int_equal(err_class(ERR_DATABASE), ERR_SYSTEMIC);
    assert_int_equal(err_class(ERR_CONFIG), ERR_FATAL);
    for (int code = ERR_NONE; code <= ERR_BUG; code++)
        assert_string_not_equal(err_name((enum err_code)code), "unknown");
}

static void buf_grows_to_its_maximum(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    buf_init(&buf, 1000);
    assert_string_equal(buf_text(&buf), "");
    for (int i = 0; i < 1000; i++)
        buf_add(&buf, "x", 1);
    assert_false(buf.failed);
    assert_int_equal(buf.len, 1000);
    buf_add(&buf, "", 0);
    assert_false(buf.failed);
    buf_add(&buf, "y", 1);
    assert_true(buf.failed);
    assert_int_equal(buf.len, 1000);
    assert_string_equal(buf_text(&buf), "");
    buf_clear(&buf);
    buf_printf(&buf, "%d %s", 7, "seven");
    assert_string_equal(buf_text(&buf), "7 seven");
    buf_clear(&buf);
    buf_printf(&buf, "%0999d", 1);
    assert_false(buf.failed);
    assert_int_equal(strlen(buf_text(&buf)), 999);
    buf_printf(&buf, "%02d", 1);
    assert_true(buf.failed);
    buf_puts(&buf, ""); /* failing is sticky */
    assert_true(buf.failed);
}

static void buf_reserves_in_place(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf = {.max = 10};
    char *room = buf_reserve(&buf, 10);
    assert_non_null(room);
    memcpy(room, "abc", 3);
    buf_grow(&buf, 3);
    assert_string_equal(buf_text(&buf), "abc");
    assert_null(buf_reserve(&buf, 8));
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.failed);
}

static void arena_gives_back_at_once(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    char *first = arena_text(&arena, SPAN_LIT("hello"));
    assert_string_equal(first, "hello");
    assert_int_equal((uintptr_t)first % 16, 0);
    for (int i = 0; i < 40; i++) {
        unsigned char *block = arena_alloc(&arena, 2000);
        assert_non_null(block);
        assert_int_equal(block[0] | block[1999], 0);
        memset(block, 0xff, 2000);
    }
    assert_non_null(arena_alloc(&arena, 18000)); /* larger than a block */
    assert_null(arena_alloc(&arena, 18000));     /* past the maximum */
    assert_null(arena_alloc(&arena, SIZE_MAX));
    arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    unsigned char *again = arena_alloc(&arena, 2000);
    assert_int_equal(again[0] | again[1999], 0);
    assert_ptr_equal(again, first); /* the first block is kept */
    struct span copy = arena_copy(&arena, SPAN_LIT("a\0b"));
    assert_memory_equal(copy.data, "a\0b", 3);
    arena_done(&arena);
}

static void days_and_times(void **state)
{
    (void)state;
    char text[DAY_TEXT], time[RFC3339_TEXT];
    int32_t day = 0;
    static const struct {
        int32_t day;
        const char *text;
    } known[] = {{0, "1970-01-01"},     {59, "1970-03-01"},    {11016, "2000-02-29"},
                 {20780, "2026-11-23"}, {20819, "2027-01-01"}, {47482, "2100-01-01"},
                 {-1, "1969-12-31"}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        day_format(known[i].day, text);
        assert_string_equal(text, known[i].text);
        assert_int_equal(day_parse(known[i].text, &day), 0);
        assert_int_equal(day, known[i].day);
    }
    for (int32_t d = -800; d < 60000; d++) {
        day_format(d, text);
        assert_int_equal(day_parse(text, &day), 0);
        assert_int_equal(day, d);
    }
    day = 7;
    static const char *const wrong[] = {"2026-02-29", "2026-13-01", "2026-00-01",
                                        "2026-1-001", "2026-04-31", "",
                                        "2026-11-2",  "+026-11-23", "2026-11-233"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(day_parse(wrong[i], &day), -1);
    assert_int_equal(day, 7);
    rfc3339_format(INT64_C(1795464900123456789), time);
    assert_string_equal(time, "2026-11-23T20:15:00.123456Z");
    rfc3339_format(-1000, time);
    assert_string_equal(time, "1969-12-31T23:59:59.999999Z");
}

static void clocks_shift(void **state)
{
    (void)state;
    struct clock manual = clock_manual(5000000);
    assert_int_equal(clock_wall_ms(&manual), 5);
    int64_t mono = manual.mono_ns(&manual);
    clock_advance(&manual, 7000000);
    assert_int_equal(clock_wall_ms(&manual), 12);
    assert_int_equal(manual.mono_ns(&manual) - mono, 7000000);
    setenv("RUSTBOX_CLOCK_OFFSET_S", "-86400", 1);
    struct clock shifted = clock_from_env();
    int64_t now = clock_wall_ms(&clock_system), then = clock_wall_ms(&shifted);
    assert_in_range(now - then, DAY_MS - 5000, DAY_MS + 5000);
    setenv("RUSTBOX_CLOCK_OFFSET_S", "1d", 1); /* not a number: no shift */
    shifted = clock_from_env();
    assert_int_equal(shifted.wall, 0);
    unsetenv("RUSTBOX_CLOCK_OFFSET_S");
}

static void uuids(void **state)
{
    (void)state;
    struct rnd rnd = rnd_seeded(1), kernel = rnd_system();
    struct clock clock = clock_manual(INT64_C(1795464900123) * 1000000);
    struct uuid id = uuid_v7(&clock, &rnd), other = uuid_v7(&clock, &rnd), back;
    assert_true(uuid_is_v7(&id));
    assert_false(uuid_eq(&id, &other));
    assert_int_equal(uuid_ms(&id), INT64_C(1795464900123));
    assert_int_equal(uuid_day(&id), 20780);
    struct uuid first = uuid_first(INT64_C(1795464900123));
    assert_int_equal(uuid_ms(&first), uuid_ms(&id));
    assert_true(memcmp(&first, &id, sizeof id) <= 0);
    char text[UUID_TEXT];
    uuid_format(&id, text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(uuid_parse(span_text(text), &back), 0);
    assert_true(uuid_eq(&id, &back));
    /* RFC 9562, appendix A.6 */
    assert_int_equal(uuid_parse(SPAN_LIT("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &back), 0);
    assert_true(uuid_is_v7(&back));
    assert_int_equal(uuid_ms(&back), INT64_C(0x017F22E279B0));
    uuid_format(&back, text);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    static const char *const wrong[] = {
        "", "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        "017f22e279b0-7cc3-98c4-dc0c0c07398f-", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(uuid_parse(span_text(wrong[i]), &back), -1);
    id = uuid_v7(&clock, &kernel);
    other = uuid_v7(&clock, &kernel);
    assert_false(uuid_eq(&id, &other));
}

static void seeded_is_reproducible(void **state)
{
    (void)state;
    struct rnd a = rnd_seeded(42), b = rnd_seeded(42), c = rnd_seeded(43);
    uint8_t x[13], y[13], z[13];
    rnd_fill(&a, x, sizeof x);
    rnd_fill(&b, y, sizeof y);
    rnd_fill(&c, z, sizeof z);
    assert_memory_equal(x, y, sizeof x);
    assert_memory_not_equal(x, z, sizeof x);
}

static void times_of_people(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {
        {"2026-11-23T20:15:00Z", INT64_C(1795464900000)},
        {"2026-11-23T20:15:00.1Z", INT64_C(1795464900100)},
        {"2026-11-23T20:15:00.123456789Z", INT64_C(1795464900123)},
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T23:59:60Z", INT64_C(1795478400000)}, /* a leap second */
        {"2026-11-23T-1:15:00Z", -1},
        {"2026-11-23T20:-1:00Z", -1},
        {"2026-11-23T20:15:+1Z", -1},
        {"2026-11-23T20: 5:00Z", -1},
        {"2026-11-23T24:00:00Z", -1},
        {"2026-11-23T20:60:00Z", -1},
        {"2026-11-23T20:15:61Z", -1},
        {"2026-11-31T20:15:00Z", -1},
        {"2026-11-23 20:15:00Z", -1},
        {"2026-11-23T20.15.00Z", -1},
        {"2026-11-23T20:15:00", -1},
        {"2026-11-23T20:15:00.Z", -1},
        {"2026-11-23T20:15:00.1aZ", -1},
        {"2026-11-23T20:15:00,1Z", -1},
        {"2026-11-23T20:15:00+01:00", -1},
        {"2026-11-23", -1},
        {"", -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = -1;
        int refused = rfc3339_ms(span_text(rows[i].text), &ms);
        if (refused != (rows[i].ms < 0 ? -1 : 0) || ms != rows[i].ms)
            fail_msg("%s: %d %lld", rows[i].text, refused, (long long)ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_keeps_code_and_errno),
        cmocka_unit_test(err_is_one_line),
        cmocka_unit_test(err_classes_and_names),
        cmocka_unit_test(buf_grows_to_its_maximum),
        cmocka_unit_test(buf_reserves_in_place),
        cmocka_unit_test(arena_gives_back_at_once),
        cmocka_unit_test(days_and_times),
        cmocka_unit_test(clocks_shift),
        cmocka_unit_test(uuids),
        cmocka_unit_test(seeded_is_reproducible),
        cmocka_unit_test(times_of_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
