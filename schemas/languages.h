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
/* What the compile leaves, and the run finds beside the given files; "" without a compile. */
const char *language_output(enum language language);
/* By canonical name or alias, any case; -1 when unknown. */
int language_find(struct span text, enum language *out) __attribute__((warn_unused_result));
const char *profile_name(enum profile profile);
int profile_find(struct span text, enum profile *out) __attribute__((warn_unused_result));
struct limits limits_run(enum language language, enum profile profile);
struct limits limits_compile(enum language language); /* memory_bytes 0: no compile step */

/* The limits of a run that a submission may tighten (limits.def). */
enum limit {
#define LIMIT(name, min) LIMIT_##name,
#include "schemas/limits.def"
#undef LIMIT
    LIMIT_COUNT
};
struct limits_wish {
    uint32_t given; /* bits 1 << enum limit; the others keep the profile's */
    uint64_t value[LIMIT_COUNT];
};
const char *limit_name(enum limit limit);
uint64_t limit_min(enum limit limit); /* the least that may be asked for */
uint64_t limit_value(const struct limits *limits, enum limit limit);
/* Takes what is given where it is lower: never more than there was. */
void limits_tighten(struct limits *limits, const struct limits_wish *wish);
