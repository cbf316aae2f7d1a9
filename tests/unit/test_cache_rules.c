/* sandbox/cache_rules: what makes two compiles the same, and who has to go. */
#include "sandbox/cache_rules.h"
#include "tests/unit/unit.h"

#define KIB UINT64_C(1024)
static const struct uuid ours = {{1}}, theirs = {{2}};

static void key_of(const struct cache_request *request, struct buf *out)
{
    buf_clear(out);
    cache_key(request, out);
    assert_false(out->failed);
}

static void every_part_counts(void **state)
{
    (void)state;
    struct limits limits = limits_compile(LANGUAGE_c), other = limits;
    other.memory_bytes++;
    const struct cache_source sources[] = {{"main.c", SPAN_LIT("int x;")}, {"a.h", SPAN_LIT("")}},
                              renamed[] = {{"main.h", SPAN_LIT("int x;")}},
                              edited[] = {{"main.c", SPAN_LIT("int y;")}},
                              longer[] = {{"main.c", SPAN_LIT("int x; ")}},
                              moved[] = {{"main.cint x", SPAN_LIT(";")}};
    const struct cache_request requests[] = {
        {LANGUAGE_c, &limits, SPAN_LIT("gcc 12"), sources, 1},
        {LANGUAGE_cpp, &limits, SPAN_LIT("gcc 12"), sources, 1},
        {LANGUAGE_c, &other, SPAN_LIT("gcc 12"), sources, 1},
        {LANGUAGE_c, &limits, SPAN_LIT("gcc 13"), sources, 1},
        {LANGUAGE_c, &limits, SPAN_LIT(""), sources, 1},
        {LANGUAGE_c, &limits, SPAN_LIT("gcc 12"), sources, 2},
        {LANGUAGE_c, &limits, SPAN_LIT("gcc 12"), renamed, 1},
        {LANGUAGE_c, &limits, SPAN_LIT("gcc 12"), edited, 1},
        {LANGUAGE_c, &limits, SPAN_LIT("gcc 12"), longer, 1},
        {LANGUAGE_c, &limits, SPAN_LIT("gcc 12"), moved, 1},
    };
    BUF_AUTO struct buf a = {.max = 10000}, b = {.max = 10000};
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        for (size_t k = 0; k < COUNT_OF(requests); k++) {
            key_of(&requests[i], &a);
            key_of(&requests[k], &b);
            if (span_eq(buf_span(&a), buf_span(&b)) != (i == k))
                fail_msg("keys %zu and %zu", i, k);
        }
}

static void too_long_a_key(void **state)
{
    (void)state;
    struct limits limits = limits_compile(LANGUAGE_c);
    const struct cache_source source = {"main.c", SPAN_LIT("int main;")};
    const struct cache_request request = {LANGUAGE_c, &limits, SPAN_LIT("gcc"), &source, 1};
    BUF_AUTO struct buf out = {.max = 100};
    cache_key(&request, &out);
    assert_true(out.failed);
}

static bool timeless(enum language language, const char *code)
{
    const struct cache_source sources[] = {{"a.h", SPAN_LIT("int x;")}, {"main", span_text(code)}};
    const struct cache_request request = {
        .language = language, .sources = sources, .source_count = 2};
    return cache_timeless(&request);
}

static void time_is_not_kept(void **state)
{
    (void)state;
    assert_true(timeless(LANGUAGE_c, "int main;"));
    assert_true(timeless(LANGUAGE_c, ""));
    assert_false(timeless(LANGUAGE_c, "puts(__TIME__);"));
    assert_false(timeless(LANGUAGE_cpp, "srand(__TIMESTAMP__[0]);"));
    assert_false(timeless(LANGUAGE_cpp, "__DATE__"));
    assert_true(timeless(LANGUAGE_go, "\"__TIME__\""));
}

static struct cache_entry rows[8];
static struct cache_index fresh(void)
{
    return (struct cache_index){.entries = rows,
                                .max_count = COUNT_OF(rows),
                                .max_bytes = 400 * KIB,
                                .max_project_entries = 3};
}

/* The text is the test's own; what is removed is not freed. */
static void add(struct cache_index *index, const struct uuid *project, char *text, uint64_t bytes)
{
    struct cache_entry entry = {
        .project = *project, .text = text, .text_len = strlen(text), .bytes = bytes};
    assert_null(cache_victim(index, project, bytes));
    cache_add(index, &entry);
}

static const char *text_of(const struct cache_entry *entry)
{
    return entry ? entry->text : NULL;
}

static void only_the_same_project_finds(void **state)
{
    (void)state;
    struct cache_index index = fresh();
    add(&index, &ours, (char[]){"a"}, KIB);
    assert_non_null(cache_find(&index, &ours, SPAN_LIT("a")));
    assert_null(cache_find(&index, &theirs, SPAN_LIT("a")));
    assert_null(cache_find(&index, &ours, SPAN_LIT("b")));
    assert_null(cache_find(&index, &ours, SPAN_LIT("")));
    /* The hash decides nothing: the same with a forged one. */
    rows[0].text[0] = 'b';
    assert_null(cache_find(&index, &ours, SPAN_LIT("a")));
}

static void least_recently_used_goes(void **state)
{
    (void)state;
    struct cache_index index = fresh();
    static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
    add(&index, &ours, a, KIB);
    add(&index, &ours, b, KIB);
    add(&index, &ours, c, KIB);
    assert_string_equal(text_of(cache_victim(&index, &ours, KIB)), "a"); /* three of a project */
    assert_non_null(cache_find(&index, &ours, SPAN_LIT("a")));
    struct cache_entry *victim = cache_victim(&index, &ours, KIB);
    assert_string_equal(text_of(victim), "b");
    assert_string_equal(cache_remove(&index, victim).text, "b");
    assert_int_equal(index.count, 2);
    assert_int_equal(index.bytes, 2 * KIB);
    add(&index, &ours, d, KIB);
    assert_null(cache_find(&index, &ours, SPAN_LIT("b")));
    assert_non_null(cache_find(&index, &ours, SPAN_LIT("c")));
}

static void nobody_pushes_another_out_of_its_share(void **state)
{
    (void)state;
    struct cache_index index = fresh();
    static char texts[8][2] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    assert_true(cache_worth(&index, 100 * KIB));
    assert_false(cache_worth(&index, 100 * KIB + 1));
    add(&index, &theirs, texts[0], 60 * KIB); /* the least recently used of all */
    add(&index, &ours, texts[1], 60 * KIB);
    assert_string_equal(text_of(cache_victim(&index, &ours, 60 * KIB)), "1");
    cache_remove(&index, cache_victim(&index, &ours, 60 * KIB));
    /* With everybody within its share and no room left, the oldest of all goes. */
    const struct uuid more[] = {{{3}}, {{4}}, {{5}}};
    for (int i = 0; i < 3; i++)
        add(&index, &more[i], texts[2 + i], 100 * KIB);
    assert_int_equal(index.bytes, 360 * KIB);
    assert_string_equal(text_of(cache_victim(&index, &ours, 41 * KIB)), "0");
    assert_null(cache_victim(&index, &ours, 40 * KIB));
}

static void number_of_entries_is_bounded(void **state)
{
    (void)state;
    struct cache_index index = fresh();
    static char texts[8][2] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    for (uint8_t i = 0; i < 8; i++)
        add(&index, &(struct uuid){{i}}, texts[i], KIB);
    assert_string_equal(text_of(cache_victim(&index, &(struct uuid){{9}}, KIB)), "0");
}

static void oldest_by_time_of_storing(void **state)
{
    (void)state;
    struct cache_index index = fresh();
    assert_null(cache_oldest(&index));
    add(&index, &ours, (char[]){"a"}, KIB);
    add(&index, &ours, (char[]){"b"}, KIB);
    rows[0].stored_ns = 7;
    rows[1].stored_ns = 5;
    assert_string_equal(cache_oldest(&index)->text, "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_counts),
        cmocka_unit_test(too_long_a_key),
        cmocka_unit_test(time_is_not_kept),
        cmocka_unit_test(only_the_same_project_finds),
        cmocka_unit_test(least_recently_used_goes),
        cmocka_unit_test(nobody_pushes_another_out_of_its_share),
        cmocka_unit_test(number_of_entries_is_bounded),
        cmocka_unit_test(oldest_by_time_of_storing),
    };
    return cmocka_run_group_tests_name("cache_rules", tests, NULL, NULL);
}
