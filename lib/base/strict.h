/* Compile-time and run-time invariants. CHECK stays in release builds: a broken invariant must
 * end the process before it can lose a record. */
#pragma once
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            strict_abort(#condition, __FILE__, __LINE__);                                          \
    } while (0)
_Noreturn void strict_abort(const char *condition, const char *file, int line);
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
