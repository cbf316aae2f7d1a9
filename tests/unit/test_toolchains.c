/* sandbox/toolchains: what is called available can be used as the header says. */
#include "sandbox/toolchains.h"
#include "tests/unit/unit.h"
#include <sys/stat.h>
#include <unistd.h>

static bool bound(const char *const *binds, const char *path)
{
    for (; *binds; binds++) {
        size_t len = strlen(*binds);
        if (strncmp(path, *binds, len) == 0 && (path[len] == '\0' || path[len] == '/'))
            return true;
    }
    return false;
}

static void check_phase(const struct toolchain_phase *phase)
{
    assert_non_null(phase->steps[0]);
    assert_null(phase->steps[TOOLCHAIN_STEPS_MAX]);
    for (size_t i = 0; phase->steps[i]; i++) {
        const char *program = phase->steps[i][0];
        assert_int_equal(program[0], '/');
        if (strncmp(program, "/box/", 5) == 0)
            continue; /* what the compile made */
        struct stat info;
        assert_int_equal(lstat(program, &info), 0);
        assert_true(S_ISREG(info.st_mode)); /* a real path, no link */
        assert_int_equal(access(program, X_OK), 0);
        assert_true(bound(phase->binds, program));
    }
    for (size_t i = 0; phase->binds[i]; i++) {
        struct stat info;
        assert_int_equal(phase->binds[i][0], '/');
        assert_int_equal(stat(phase->binds[i], &info), 0);
        assert_string_not_equal(phase->binds[i], "/etc");
    }
    assert_int_equal(strncmp(phase->env[0], "PATH=", 5), 0);
}

static void rows(void **state)
{
    (void)state;
    static struct toolchain toolchains[LANGUAGE_COUNT];
    struct err err = {0};
    assert_ok(toolchains_probe(toolchains, false, &err), err);
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++) {
        const struct toolchain *row = &toolchains[i];
        assert_int_equal(row->language, i);
        assert_int_equal(row->has_compile, limits_compile((enum language)i).memory_bytes > 0);
        if (!row->available) {
            assert_non_null(strstr(row->why_missing, "apt-get install"));
            print_message("%s: %s\n", language_name(row->language), row->why_missing);
            continue;
        }
        assert_string_equal(row->why_missing, "");
        assert_non_null(strchr(row->version, '.'));
        check_phase(&row->run);
        if (row->has_compile) {
            check_phase(&row->compile);
            assert_int_equal(row->compile.family, FILTER_COMPILER);
            assert_true(row->output[0]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows)};
    return cmocka_run_group_tests_name("toolchains", tests, NULL, NULL);
}
