/* lib/config: precedence, types, and errors that say where and what to do. */
#include "lib/base/cleanup.h"
#include "lib/config/config.h"
#include "lib/config/settings.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <unistd.h>

static char path[] = "/tmp/rustbox_config_XXXXXX";

static const char *with_file(const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static void precedence(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct err err = {0};
    assert_ok(config_load(NULL, &config, &err), err);
    assert_string_equal(config_text(config, SETTING_kafka_brokers), "127.0.0.1:4092");
    assert_int_equal(config_ms(config, SETTING_gateway_wait_timeout), 30000);
    assert_int_equal(config_bytes(config, SETTING_gateway_tail_memory), 268435456);
    assert_int_equal(config_int(config, SETTING_admit_batch_records), 200);
    config_free(config);
    const char *file = with_file("# comment\n\n[kafka]\n  brokers =  a:1,b:2  \n[gateway]\n"
                                 "wait_timeout=250ms\ntail_memory = 64KiB\n[kafka]\n"
                                 "topic_prefix = x#y = z\n");
    setenv("RUSTBOX_GATEWAY_TAIL_MEMORY", "12", 1);
    assert_ok(config_load(file, &config, &err), err);
    unsetenv("RUSTBOX_GATEWAY_TAIL_MEMORY");
    assert_string_equal(config_text(config, SETTING_kafka_brokers), "a:1,b:2");
    assert_string_equal(config_text(config, SETTING_kafka_topic_prefix), "x#y = z");
    assert_int_equal(config_ms(config, SETTING_gateway_wait_timeout), 250);
    assert_int_equal(config_bytes(config, SETTING_gateway_tail_memory), 12);
    config_free(config);
}

static void errors_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"[kafka]\nbrokerz = 1\n", ":2: unknown key brokerz in [kafka]"},
        {"\n[kafak]\n", ":2: unknown section [kafak]"},
        {"brokers = 1\n", ":1: unknown key brokers in []"},
        {"[kafka]\nbrokers\n", ":2: expected key = value"},
        {"[kafka\n", ":1: a section is written [name]"},
        {"[kafka]\nbrokers = a\nbrokers = b\n", ":3: kafka.brokers was already given in line 2"},
        {"[gateway]\nwait_timeout = 30\n", ":2: gateway.wait_timeout must be a duration"},
        {"[gateway]\nwait_timeout = -1s\n", ":2: gateway.wait_timeout must be a duration"},
        {"[gateway]\nmax_waiters = many\n", ":2: gateway.max_waiters must be a whole number"},
        {"[gateway]\ntail_memory = 1MB\n", ":2: gateway.tail_memory must be a size"},
        {"[gateway]\ntail_memory = 99999999999GiB\n", ":2: gateway.tail_memory must be a size"},
        {"[keystore]\ndir = keys\n", ":2: keystore.dir must be an absolute path"},
        {"[db]\nurl_admit = host=x password=hunter2\n",
         ":2: db.url_admit must not hold a password"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct config *config = NULL;
        struct err err = {0};
        assert_err(config_load(with_file(cases[i].text), &config, &err), err, ERR_CONFIG);
        if (!strstr(err.message, cases[i].message))
            fail_msg("'%s' lacks '%s'", err.message, cases[i].message);
        assert_memory_equal(err.message, path, strlen(path));
        assert_null(strstr(err.message, "hunter2"));
    }
    struct config *config = NULL;
    struct err err = {0};
    assert_err(config_load("/nonexistent/x.conf", &config, &err), err, ERR_CONFIG);
    setenv("RUSTBOX_EXECUTE_SLOTS", "x", 1);
    assert_err(config_load(NULL, &config, &err), err, ERR_CONFIG);
    unsetenv("RUSTBOX_EXECUTE_SLOTS");
    assert_string_equal(err.message, "RUSTBOX_EXECUTE_SLOTS: execute.slots must be a whole number");
}

static void types(void **state)
{
    (void)state;
    static const struct {
        enum setting_type type;
        const char *text;
        int64_t number; /* -1: refused */
    } cases[] = {
        {SETTING_IS_DURATION, "0", 0},
        {SETTING_IS_DURATION, "2d", 172800000},
        {SETTING_IS_DURATION, "5m", 300000},
        {SETTING_IS_DURATION, "1h", 3600000},
        {SETTING_IS_DURATION, "", -1},
        {SETTING_IS_DURATION, "s", -1},
        {SETTING_IS_DURATION, "1 s", -1},
        {SETTING_IS_SIZE, "2GiB", INT64_C(2) << 30},
        {SETTING_IS_SIZE, "0", 0},
        {SETTING_IS_INT, "007", 7},
        {SETTING_IS_INT, "1.5", -1},
        {SETTING_IS_INT, "", -1},
        {SETTING_IS_PATH, "/x", 0},
        {SETTING_IS_SECRET, "s3cret", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t number = 0;
        int status = setting_parse(cases[i].type, cases[i].text, &number);
        assert_int_equal(status, cases[i].number < 0 ? -1 : 0);
        if (status == 0)
            assert_int_equal(number, cases[i].number);
    }
}

static void each_setting_is_documented(void **state)
{
    (void)state;
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_row *row = &setting_rows[i];
        int64_t number;
        if (strlen(row->help) < 10 || setting_parse(row->type, row->fallback, &number))
            fail_msg("settings.def: %s.%s lacks a help text or its default is not %s", row->section,
                     row->key, setting_type_rule(row->type));
        if (row->type == SETTING_IS_INT && row->unit[0] == '\0')
            fail_msg("settings.def: %s.%s counts what? Give a unit", row->section, row->key);
        for (int j = 0; j < i; j++)
            if (strcmp(row->section, setting_rows[j].section) == 0 &&
                strcmp(row->section, setting_rows[i - 1].section) != 0)
                fail_msg("settings.def: keep the rows of [%s] together", row->section);
    }
}

static void the_sample_file_is_in_step(void **state)
{
    (void)state;
    BUF_AUTO struct buf wanted, found;
    buf_init(&wanted, 1 << 20);
    buf_init(&found, 1 << 20);
    config_print_defaults(&wanted);
    AUTO_FD int fd = open("ops/etc/rustbox.conf", O_RDONLY | O_CLOEXEC);
    char part[4096];
    ssize_t len;
    while (fd >= 0 && (len = read(fd, part, sizeof part)) > 0)
        buf_add(&found, part, (size_t)len);
    if (!span_eq(buf_span(&wanted), buf_span(&found)))
        fail_msg("ops/etc/rustbox.conf is not what settings.def says: write the output of "
                 "`build/dev/bin/rustbox-config --print-defaults` there");
    /* uncommented it must load */
    BUF_AUTO struct buf live;
    buf_init(&live, 1 << 20);
    for (char *line = wanted.data, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        bool assignment = line[0] == '#' && line[1] != ' ';
        buf_printf(&live, "%s\n", line + (assignment ? 1 : 0));
    }
    struct config *config = NULL;
    struct err err = {0};
    assert_ok(config_load(with_file(buf_text(&live)), &config, &err), err);
    config_free(config);
}

static void options_are_taken_out_of_argv(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct err err = {0};
    const char *file = with_file("[execute]\nslots = 3\n");
    char *argv[] = {"prog", "--stage", "admit", "--config", (char *)(uintptr_t)file, "rest", NULL};
    int argc = 6;
    assert_int_equal(config_args(&argc, argv, "usage", &config, &err), 0);
    assert_int_equal(argc, 4);
    assert_string_equal(argv[2], "admit");
    assert_string_equal(argv[3], "rest");
    assert_null(argv[4]);
    assert_int_equal(config_int(config, SETTING_execute_slots), 3);
    config_free(config);
    char *missing[] = {"prog", "--config", NULL};
    argc = 2;
    assert_err(config_args(&argc, missing, "usage", &config, &err), err, ERR_CONFIG);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(types),
        cmocka_unit_test(each_setting_is_documented),
        cmocka_unit_test(the_sample_file_is_in_step),
        cmocka_unit_test(options_are_taken_out_of_argv),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
