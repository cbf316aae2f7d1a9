/* The language table (languages.def) and the limits of the two profiles. */
#pragma once
#include "lib/base/span.h"

enum language {
#define LANGUAGE(name, ...) LANGUAGE_##name,
#include "schemas/languages.def"
#undef LANGUAGE
    LANGUAGE_COUNT
};

enum profile { PROFILE_JUDGE, PROFILE_AGENT, PROFILE_COUNT };

/* One phase's limits. All zero: the phase does not exist (no compile step). */
struct limits {
    uint64_t memory_bytes, cpu_ms, wall_ms, processes, open_files, file_bytes, tmp_bytes;
    uint64_t output_bytes; /* for each of stdout and stderr */
    uint64_t stack_bytes;
};

const char *language_name(enum language language);   /* canonical */
const char *language_source(enum language language); /* file name of the code inside the sandbox */
/* By canonical name or alias, any case; -1 when unknown. */
int language_find(struct span text, enum language *out) __attribute__((warn_unused_result));
const char *profile_name(enum profile profile);
int profile_find(struct span text, enum profile *out) __attribute__((warn_unused_result));
struct limits limits_run(enum language language, enum profile profile);
struct limits limits_compile(enum language language); /* memory_bytes 0: no compile step */
