/* Loading: defaults, then the file, then the environment. Every value is parsed here, so that a
 * program that started has a configuration that makes sense. */
#include "lib/config/config.h"
#include "lib/base/cleanup.h"
#include "lib/base/strict.h"
#include "lib/config/settings.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (256 * 1024)

struct value {
    char *text; /* owned */
    int64_t number;
    int line; /* of the file; 0 = default */
};
struct config {
    struct value values[SETTING_COUNT];
};

static int set_value(struct config *config, enum setting setting, const char *text,
                     const char *where, struct err *err)
{
    const struct setting_row *row = &setting_rows[setting];
    struct value *value = &config->values[setting];
    int64_t number = 0;
    if (setting_parse(row->type, text, &number)) {
        if (row->type == SETTING_IS_TEXT)
            return err_set(err, ERR_CONFIG,
                           "%s: %s.%s must not hold a password: name a file (passfile=)", where,
                           row->section, row->key);
        return err_set(err, ERR_CONFIG, "%s: %s.%s must be %s", where, row->section, row->key,
                       setting_type_rule(row->type));
    }
    char *copy = strdup(text);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "configuration");
    free(value->text);
    value->text = copy;
    value->number = number;
    return 0;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static int find_setting(const char *section, const char *key)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcmp(setting_rows[i].section, section) == 0 && strcmp(setting_rows[i].key, key) == 0)
            return i;
    return -1;
}

static bool section_exists(const char *section)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcmp(setting_rows[i].section, section) == 0)
            return true;
    return false;
}

struct reader {
    struct config *config;
    const char *path;
    int line;
    char section[64];
};

static int read_section(struct reader *in, char *text, struct err *err)
{
    size_t len = strlen(text);
    if (text[len - 1] != ']')
        return err_set(err, ERR_CONFIG, "%s:%d: a section is written [name]", in->path, in->line);
    text[len - 1] = '\0';
    char *name = trim(text + 1);
    if (!section_exists(name) || span_copy(span_text(name), in->section, sizeof in->section))
        return err_set(err, ERR_CONFIG,
                       "%s:%d: unknown section [%.40s]; --print-defaults lists all settings",
                       in->path, in->line, name);
    return 0;
}

static int read_line(struct reader *in, char *line, struct err *err)
{
    char *text = trim(line);
    if (*text == '\0' || *text == '#')
        return 0;
    if (*text == '[')
        return read_section(in, text, err);
    char *equals = strchr(text, '=');
    if (!equals)
        return err_set(err, ERR_CONFIG, "%s:%d: expected key = value", in->path, in->line);
    *equals = '\0';
    char *key = trim(text);
    int setting = find_setting(in->section, key);
    if (setting < 0)
        return err_set(err, ERR_CONFIG,
                       "%s:%d: unknown key %.40s in [%s]; --print-defaults lists all settings",
                       in->path, in->line, key, in->section);
    struct value *value = &in->config->values[setting];
    if (value->line)
        return err_set(err, ERR_CONFIG, "%s:%d: %s.%s was already given in line %d", in->path,
                       in->line, in->section, key, value->line);
    value->line = in->line;
    char where[300];
    snprintf(where, sizeof where, "%.260s:%d", in->path, in->line);
    return set_value(in->config, (enum setting)setting, trim(equals + 1), where, err);
}

static void close_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

static int read_file(struct config *config, const char *path, struct err *err)
{
    __attribute__((cleanup(close_file))) FILE *file = fopen(path, "re");
    if (!file)
        return err_sys(err, ERR_CONFIG, "cannot read configuration %s", path);
    AUTO_FREE char *line = NULL;
    size_t cap = 0, total = 0;
    ssize_t len;
    struct reader in = {.config = config, .path = path};
    while ((len = getline(&line, &cap, file)) >= 0) {
        in.line++;
        total += (size_t)len;
        if (total > FILE_MAX_BYTES || memchr(line, 0, (size_t)len))
            return err_set(err, ERR_CONFIG, "%s:%d: this is not a configuration file", path,
                           in.line);
        if (read_line(&in, line, err))
            return -1;
    }
    if (ferror(file))
        return err_sys(err, ERR_CONFIG, "cannot read configuration %s", path);
    return 0;
}

static int read_environment(struct config *config, struct err *err)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        char name[128];
        snprintf(name, sizeof name, "RUSTBOX_%s_%s", setting_rows[i].section, setting_rows[i].key);
        for (char *c = name; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        const char *text = getenv(name);
        if (text && set_value(config, (enum setting)i, text, name, err))
            return -1;
    }
    return 0;
}

int config_load(const char *path, struct config **out, struct err *err)
{
    struct config *config = calloc(1, sizeof *config);
    if (!config)
        return err_set(err, ERR_NO_MEMORY, "configuration");
    int status = 0;
    for (int i = 0; i < SETTING_COUNT && status == 0; i++)
        status = set_value(config, (enum setting)i, setting_rows[i].fallback, "defaults", err);
    if (status == 0 && path)
        status = read_file(config, path, err);
    if (status == 0)
        status = read_environment(config, err);
    if (status) {
        config_free(config);
        return -1;
    }
    *out = config;
    return 0;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (int i = 0; i < SETTING_COUNT; i++)
        free(config->values[i].text);
    free(config);
}

static const struct value *value_of(const struct config *config, enum setting setting,
                                    enum setting_type type)
{
    CHECK(setting < SETTING_COUNT && setting_rows[setting].type == type);
    return &config->values[setting];
}

const char *config_text(const struct config *config, enum setting setting)
{
    CHECK(setting < SETTING_COUNT);
    enum setting_type type = setting_rows[setting].type;
    CHECK(type == SETTING_IS_TEXT || type == SETTING_IS_PATH || type == SETTING_IS_SECRET);
    return config->values[setting].text;
}

int64_t config_int(const struct config *config, enum setting setting)
{
    return value_of(config, setting, SETTING_IS_INT)->number;
}

int64_t config_ms(const struct config *config, enum setting setting)
{
    return value_of(config, setting, SETTING_IS_DURATION)->number;
}

uint64_t config_bytes(const struct config *config, enum setting setting)
{
    return (uint64_t)value_of(config, setting, SETTING_IS_SIZE)->number;
}
