/* schemas/languages: the table as callers see it. */
#include "schemas/languages.h"
#include "tests/unit/unit.h"

static void names_and_aliases(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum language language;
    } known[] = {
        {"python", LANGUAGE_python},
        {"py", LANGUAGE_python},
        {"PyThOn", LANGUAGE_python},
        {"PY", LANGUAGE_python},
        {"c", LANGUAGE_c},
        {"C", LANGUAGE_c},
        {"cpp", LANGUAGE_cpp},
        {"c++", LANGUAGE_cpp},
        {"C++", LANGUAGE_cpp},
        {"cxx", LANGUAGE_cpp},
        {"cc", LANGUAGE_cpp},
        {"java", LANGUAGE_java},
        {"javascript", LANGUAGE_javascript},
        {"JS", LANGUAGE_javascript},
        {"typescript", LANGUAGE_typescript},
        {"ts", LANGUAGE_typescript},
        {"go", LANGUAGE_go},
        {"rust", LANGUAGE_rust},
        {"rs", LANGUAGE_rust},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        enum language language = LANGUAGE_COUNT;
        assert_int_equal(language_find(span_text(known[i].text), &language), 0);
        assert_int_equal(language, known[i].language);
    }
    static const char *const unknown[] = {"",        " ", "c ",     " c",          "pyt",
                                          "c++ cxx", "x", "cxx cc", "javascript1", "python\n"};
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        enum language language = LANGUAGE_COUNT;
        assert_int_equal(language_find(span_text(unknown[i]), &language), -1);
        assert_int_equal(language, LANGUAGE_COUNT);
    }
    enum language language;
    assert_int_equal(language_find(SPAN_LIT("c\0"), &language), -1);
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++) {
        assert_int_equal(language_find(span_text(language_name((enum language)i)), &language), 0);
        assert_int_equal(language, i);
    }
    assert_string_equal(language_source(LANGUAGE_java), "Main.java");
}

static void profiles(void **state)
{
    (void)state;
    enum profile profile = PROFILE_COUNT;
    assert_int_equal(profile_find(SPAN_LIT("judge"), &profile), 0);
    assert_int_equal(profile, PROFILE_JUDGE);
    assert_int_equal(profile_find(SPAN_LIT("agent"), &profile), 0);
    assert_int_equal(profile, PROFILE_AGENT);
    assert_string_equal(profile_name(PROFILE_AGENT), "agent");
    assert_int_equal(profile_find(SPAN_LIT("Judge"), &profile), -1);
    assert_int_equal(profile_find(SPAN_LIT(""), &profile), -1);
}

static void judge_limits(void **state)
{
    (void)state;
    struct limits python = limits_run(LANGUAGE_python, PROFILE_JUDGE);
    assert_int_equal(python.memory_bytes, 256 << 20);
    assert_int_equal(python.cpu_ms, 4000);
    assert_int_equal(python.wall_ms, 7000);
    assert_int_equal(python.processes, 10);
    assert_int_equal(python.open_files, 32);
    assert_int_equal(python.file_bytes, 1 << 20);
    assert_int_equal(python.tmp_bytes, 64 << 20);
    assert_int_equal(python.output_bytes, 1 << 20);
    assert_int_equal(python.stack_bytes, 64 << 20);
    struct limits compile = limits_compile(LANGUAGE_go);
    assert_int_equal(compile.memory_bytes, 1 << 30);
    assert_int_equal(compile.tmp_bytes, 256 << 20);
    assert_int_equal(compile.output_bytes, 1 << 20);
    struct limits none = {0}, interpreted = limits_compile(LANGUAGE_javascript);
    assert_memory_equal(&interpreted, &none, sizeof none);
}

static void agent_limits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++) {
        struct limits judge = limits_run((enum language)i, PROFILE_JUDGE);
        struct limits agent = limits_run((enum language)i, PROFILE_AGENT);
        assert_int_equal(agent.memory_bytes, 1 << 30);
        assert_int_equal(agent.cpu_ms, 15000);
        assert_int_equal(agent.wall_ms, 30000);
        assert_int_equal(agent.file_bytes, 64 << 20);
        assert_int_equal(agent.processes, judge.processes > 64 ? judge.processes : 64);
        assert_int_equal(agent.open_files, judge.open_files);
        assert_int_equal(agent.output_bytes, judge.output_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_aliases),
        cmocka_unit_test(profiles),
        cmocka_unit_test(judge_limits),
        cmocka_unit_test(agent_limits),
    };
    return cmocka_run_group_tests_name("languages", tests, NULL, NULL);
}
