/* The error object: a caller-owned, fixed-size struct handed as the last out-parameter.
 *
 * Libraries fill it and return -1; they never log. A caller adds context with err_wrap() on the
 * way up; only the consumer runtime, the gateway's main loop and the commands print it, once. */
#pragma once
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))

/* What a caller may do about an error. delivery.md part 1 gives each class its treatment. */
enum err_class {
    ERR_REJECTED, /* an ordinary outcome: the input breaks a rule */
    ERR_RETRY,    /* this record, later */
    ERR_POISON,   /* dead letter: the record can never be handled */
    ERR_SYSTEMIC, /* database, broker or launcher is away: pause, retry in place */
    ERR_FATAL,    /* exit; the supervisor restarts */
};

enum err_code {
    ERR_NONE = 0,
    ERR_INVALID,   /* rejected: a value breaks a rule; the message names field and rule */
    ERR_TOO_LARGE, /* rejected: a bound is exceeded */
    ERR_NOT_FOUND, /* rejected */
    ERR_CONFLICT,  /* rejected */
    ERR_DENIED,    /* rejected: no right to it */
    ERR_ERASED,    /* rejected: key punctured or destroyed */
    ERR_EXPIRED,   /* rejected: its day is gone */
    ERR_BUSY,      /* retry */
    ERR_TIMEOUT,   /* retry */
    ERR_CORRUPT,   /* poison: checksum, tag or format is wrong */
    ERR_BROKER,    /* systemic */
    ERR_DATABASE,  /* systemic */
    ERR_LAUNCHER,  /* systemic */
    ERR_SYSTEM,    /* systemic: a system call failed, errno kept */
    ERR_NO_MEMORY, /* fatal */
    ERR_CONFIG,    /* fatal: configuration or host refuses; the message says the remedy */
    ERR_BUG,       /* fatal: an invariant of ours does not hold */
};

struct err {
    enum err_code code;
    int sys; /* errno at the time, or 0 */
    const char *file;
    int line;
    char message[400]; /* no newline, no content of submissions */
};

/* Fills err (may be NULL) and returns -1, so that `return err_set(...)` reads well. */
#define err_set(err, code, ...) ERR_AT(err, code, 0, __VA_ARGS__)
/* The same with errno kept and its text appended ("open x: No such file or directory"). */
#define err_sys(err, code, ...) ERR_AT(err, code, errno, __VA_ARGS__)
/* -1 stands here, and not in the function, so that compilers and analysers know it. */
#define ERR_AT(err, code, sys, ...)                                                                \
    __extension__({                                                                                \
        err_set_at((err), (code), (sys), __FILE__, __LINE__, __VA_ARGS__);                         \
        -1;                                                                                        \
    })
void err_set_at(struct err *err, enum err_code code, int sys, const char *file, int line,
                const char *format, ...) __attribute__((format(printf, 6, 7)));
/* Puts "context: " before the message; returns -1. */
#define err_wrap(err, ...)                                                                         \
    __extension__({                                                                                \
        err_wrap_by((err), __VA_ARGS__);                                                           \
        -1;                                                                                        \
    })
void err_wrap_by(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum err_class err_class(enum err_code code);
const char *err_name(enum err_code code); /* "invalid", "broker", ... for logs and metrics */
