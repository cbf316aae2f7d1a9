/* Where each language's tools are on this host, and how a job calls them.
 *
 * Tools are named by absolute real path (Debian 12's packages), never looked up in PATH.
 * Conventions inside the sandbox: the source is /box/<language_source()> in both phases of
 * interpreted languages and in the compile; /tmp is the working directory (HOME=/tmp); a compile
 * leaves its output under /tmp/<output>; the launcher copies that to /box/<output> of the run,
 * where nothing else is but the given files. All arrays and strings are static: nothing here is
 * freed. Never runs a tool on a job's behalf. */
#pragma once
#include "lib/base/err.h"
#include "sandbox/filter.h"
#include "schemas/languages.h"

/* Commands of a phase: the next one is started when the one before exited 0. */
#define TOOLCHAIN_STEPS_MAX 2

struct toolchain_phase {
    enum filter_family family;
    const char *const
        *steps[TOOLCHAIN_STEPS_MAX + 1]; /* argv each, NULL-terminated; [0] is the path to run */
    const char *const *env;              /* "NAME=value", NULL-terminated: the whole environment */
    /* Host paths the root needs, NULL-terminated, each to appear under the same path: a directory
     * or file is bound read-only, nosuid, nodev; a symbolic link (lstat) is made again with the
     * same target. Parents are plain directories. Every listed path exists when `available`. */
    const char *const *binds;
};

struct toolchain {
    enum language language;
    bool available;
    char version[64];      /* "gcc 12.2.0" */
    char why_missing[200]; /* what was looked for and the package to install; "" when available */
    bool has_compile;
    struct toolchain_phase compile, run;
    const char *output;  /* name in the compile's /tmp; "" without compile */
    const char *sources; /* suffixes of given files that the compile takes, separated by spaces */
    bool sources_at_top; /* and only those that lie beside the source */
    const char *const *with_files; /* further words of the compile when files are given */
    bool output_is_directory;      /* copy the tree of regular files below it (Java's classes) */
};

/* Fills all rows; prebuilt: what was made ahead is there (prebuilt.h). A missing tool is no error:
 * its row says why. Starts the tools' --version commands; at most 10 s each. */
int toolchains_probe(struct toolchain out[LANGUAGE_COUNT], bool prebuilt,
                     struct err *err) MUST_CHECK;
