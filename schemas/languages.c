/* The language table as functions: names, aliases, limits. Everything here is a look-up in
 * languages.def; the numbers of the profile agent are the judge's with a few rows replaced. */
#include "schemas/languages.h"
#include "lib/base/strict.h"
#include <strings.h>

#define MIB (UINT64_C(1) << 20)
#define OUTPUT_BYTES (1 * MIB)
#define STACK_BYTES (64 * MIB)
#define RUN_TMP_BYTES (64 * MIB)

#define AGENT_MEMORY_BYTES (1024 * MIB)
#define AGENT_CPU_MS 15000
#define AGENT_WALL_MS 30000
#define AGENT_PROCESSES 64 /* at least; the judge's row when that is higher */
#define AGENT_FILE_BYTES (64 * MIB)

struct language_row {
    const char *name, *aliases, *source, *output; /* aliases: separated by one space */
    struct limits run, compile;
};

#define RUN(memory, cpu, wall, procs, files, file)                                                 \
    {                                                                                              \
        .memory_bytes = (memory)*MIB, .cpu_ms = (cpu), .wall_ms = (wall), .processes = (procs),    \
        .open_files = (files), .file_bytes = (file)*MIB, .tmp_bytes = RUN_TMP_BYTES,               \
        .output_bytes = OUTPUT_BYTES, .stack_bytes = STACK_BYTES                                   \
    }
#define COMPILE(memory, cpu, wall, procs, files, file, tmp)                                        \
    {                                                                                              \
        .memory_bytes = (memory)*MIB, .cpu_ms = (cpu), .wall_ms = (wall), .processes = (procs),    \
        .open_files = (files), .file_bytes = (file)*MIB, .tmp_bytes = (tmp)*MIB,                   \
        .output_bytes = (memory) ? OUTPUT_BYTES : 0, .stack_bytes = (memory) ? STACK_BYTES : 0     \
    }

static const struct language_row rows[LANGUAGE_COUNT] = {
#define LANGUAGE(name, ...) {#name, __VA_ARGS__},
#include "schemas/languages.def"
#undef LANGUAGE
};

static const char *const profiles[PROFILE_COUNT] = {"judge", "agent"};

static const struct language_row *row_of(enum language language)
{
    CHECK((unsigned)language < LANGUAGE_COUNT);
    return &rows[language];
}

const char *language_name(enum language language)
{
    return row_of(language)->name;
}

const char *language_source(enum language language)
{
    return row_of(language)->source;
}

const char *language_output(enum language language)
{
    return row_of(language)->output;
}

static bool same_word(struct span text, const char *word, size_t len)
{
    return text.len == len && strncasecmp(text.data, word, len) == 0;
}

static bool is_alias(struct span text, const char *aliases)
{
    for (const char *word = aliases; *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (same_word(text, word, len))
            return true;
        word += len + (word[len] == ' ');
    }
    return false;
}

int language_find(struct span text, enum language *out)
{
    if (text.len == 0)
        return -1;
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++) {
        if (same_word(text, rows[i].name, strlen(rows[i].name)) ||
            is_alias(text, rows[i].aliases)) {
            *out = (enum language)i;
            return 0;
        }
    }
    return -1;
}

const char *profile_name(enum profile profile)
{
    CHECK((unsigned)profile < PROFILE_COUNT);
    return profiles[profile];
}

int profile_find(struct span text, enum profile *out)
{
    for (unsigned i = 0; i < PROFILE_COUNT; i++) {
        if (span_is(text, profiles[i])) {
            *out = (enum profile)i;
            return 0;
        }
    }
    return -1;
}

struct limits limits_run(enum language language, enum profile profile)
{
    struct limits limits = row_of(language)->run;
    if (profile == PROFILE_AGENT) {
        limits.memory_bytes = AGENT_MEMORY_BYTES;
        limits.cpu_ms = AGENT_CPU_MS;
        limits.wall_ms = AGENT_WALL_MS;
        limits.file_bytes = AGENT_FILE_BYTES;
        if (limits.processes < AGENT_PROCESSES)
            limits.processes = AGENT_PROCESSES;
    }
    return limits;
}

struct limits limits_compile(enum language language)
{
    return row_of(language)->compile;
}

static const struct {
    const char *name;
    size_t offset;
    uint64_t min;
} tightenable[LIMIT_COUNT] = {
#define LIMIT(name, min) {#name, offsetof(struct limits, name), min},
#include "schemas/limits.def"
#undef LIMIT
};

static uint64_t *limit_at(struct limits *limits, enum limit limit)
{
    CHECK((unsigned)limit < LIMIT_COUNT);
    return (uint64_t *)(void *)((char *)limits + tightenable[limit].offset);
}

const char *limit_name(enum limit limit)
{
    CHECK((unsigned)limit < LIMIT_COUNT);
    return tightenable[limit].name;
}

uint64_t limit_min(enum limit limit)
{
    CHECK((unsigned)limit < LIMIT_COUNT);
    return tightenable[limit].min;
}

uint64_t limit_value(const struct limits *limits, enum limit limit)
{
    struct limits copy = *limits;
    return *limit_at(&copy, limit);
}

void limits_tighten(struct limits *limits, const struct limits_wish *wish)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        uint64_t *at = limit_at(limits, (enum limit)i);
        if ((wish->given >> i & 1U) != 0 && wish->value[i] < *at)
            *at = wish->value[i];
    }
}
