/* The attempts: rows of calls.def and the files of attempts/LANGUAGE/, each a program for one job.
 *
 * A file's first line holds its expectation, in words KEY=VALUE after "escape:":
 *   layers=a,b    the layer that stops it, then those that stop it also; all are left off in the
 *                 second run, where it must succeed ("always": nothing that could be left off)
 *   verdict=RE cause=re_nonzero_exit   what the launcher's evidence amounts to when it holds
 *   proof=verdict it succeeds by another cause than that, not by reaching a canary
 *   abi=N         a layer "landlock" needs this ABI of the kernel for it (landlock(7))
 *   cpu_ms= wall_ms=   other limits than the language's
 *   runs=3        so many jobs after each other, the last of another project: what one leaves
 *                 behind must not be there for the next
 * What follows a line "@@FILE PATH" is a file that the job brings beside its source.
 * @DIR@, @PORT@, @PID@, @KEY@, @NAME@ in a program stand for the canary's. */
#pragma once
#include "sandbox/box.h"
#include "schemas/languages.h"
#include "schemas/verdict_rules.h"
#include "tests/escape/canary.h"

#define ATTEMPTS_MAX 512
#define ATTEMPT_FILES_MAX 4

struct attempt {
    char name[64], layers[64];
    enum language language;
    enum verdict verdict;
    enum cause cause;
    bool by_verdict, switchable;
    char event[32]; /* the first dangerous call in the evidence, "" = none wanted */
    bool check_event;
    uint64_t cpu_ms, wall_ms;
    uint64_t runs;
    uint64_t landlock_abi;
    char *code;
};

/* Reads all of them, fails the test on a bad header. Returns their number. */
size_t attempts_load(struct attempt *out);
/* The program as it is submitted now (a canary that was killed has another id); to be freed. */
char *attempt_program(const struct attempt *attempt, const struct canary *canary);
/* Cuts the files off that a program brings; they stay in its text. Returns their number. */
size_t attempt_files(char *program, struct box_file files[ATTEMPT_FILES_MAX]);
void attempts_done(struct attempt *attempts, size_t count);
