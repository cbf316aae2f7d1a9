/* What a job brings beside source and stdin, as the launcher holds it: the arguments of its program
 * and the places of its files, whose contents follow the source in the same memfd. */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "schemas/file_path.h"

struct toolchain;

#define GIVEN_WORDS_MAX (GIVEN_FILES_MAX * (FILE_PATH_MAX + 8) + GIVEN_ARGS_BYTES)

struct given {
    size_t args_len, file_count;
    char args[GIVEN_ARGS_BYTES]; /* each ends in NUL */
    struct given_place {
        char path[FILE_PATH_MAX + 1];
        uint64_t bytes;
    } files[GIVEN_FILES_MAX];
};

/* ERR_INVALID: a rule is broken, or there is no more room. */
int given_add_arg(struct given *given, const char *text, struct err *err) MUST_CHECK;
int given_add_file(struct given *given, const char *path, uint64_t bytes,
                   struct err *err) MUST_CHECK;
uint64_t given_bytes(const struct given *given); /* of all files */
/* Writes the files and their directories below dir, a fresh tmpfs that nobody else has; their
 * contents begin at `offset` of `from`. */
int given_put(int dir, const struct given *given, int from, uint64_t offset,
              struct err *err) MUST_CHECK;
/* What the compile's command gets behind the source, each word ending in NUL. */
size_t given_compile_words(const struct given *given, const struct toolchain *toolchain,
                           char out[GIVEN_WORDS_MAX]);
/* Links to the given files' first parts below dir, the run's working directory: programs open
 * "data.txt". */
int given_link(int dir, const struct given *given, struct err *err) MUST_CHECK;
