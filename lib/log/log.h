/* The process's log: one logfmt line on stderr per call,
 *
 *   ts=2026-11-23T20:15:00.123456Z level=info prog=admit event=batch_done sub=<id> records=200
 *
 * written with a single write(2). Who calls it: programs, the runtime, stages; libraries return
 * errors instead. Never logged: code, stdin, output, tokens, addresses of people. Fields are typed,
 * so a value can neither break the line nor be taken for a format:
 *
 *   log_event(LOG_INFO, "batch_done", kv("records", count), kv("topic", name));
 *   log_event(LOG_ERROR, "send_failed", kv_err(&err));
 *
 * More than LOG_BURST lines of one event name within a second are counted instead of written; the
 * count follows as event=log_suppressed. A reader that stalls costs lines, not time: those that found
 * the pipe full are counted, and event=log_lost says how many. A line is cut at LOG_LINE bytes. */
#pragma once
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/uuid.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };
#define LOG_BURST 20
#define LOG_LINE 2048

enum log_type { LOG_END, LOG_SIGNED, LOG_UNSIGNED, LOG_TEXT, LOG_UUID, LOG_ERR };
struct log_field {
    const char *key; /* lower_case, a literal */
    enum log_type type;
    union {
        int64_t i;
        uint64_t u;
        const char *text;
        const struct uuid *uuid;
        const struct err *err;
    };
};

/* Sets the program's name (kept, not copied) and the lowest level written. fd is 2 but in tests. */
void log_open(const char *prog, enum log_level lowest, int fd, const struct clock *clock);
int log_level_parse(const char *text, enum log_level *out) MUST_CHECK; /* debug ... fatal */
/* The submission that following lines speak of; NULL ends it. Copied. */
void log_context(const struct uuid *submission);
/* Writes the counts of lines held back; before exit. */
void log_flush(void);
bool log_enabled(enum log_level level);

#define log_event(level, event, ...)                                                               \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* A field from an integer, bool or const char *. */
#define kv(name, value)                                                                            \
    _Generic((value),                                                                              \
             _Bool: log_u,                                                                         \
             unsigned char: log_u,                                                                 \
             unsigned short: log_u,                                                                \
             unsigned: log_u,                                                                      \
             unsigned long: log_u,                                                                 \
             unsigned long long: log_u,                                                            \
             signed char: log_i,                                                                   \
             short: log_i,                                                                         \
             int: log_i,                                                                           \
             long: log_i,                                                                          \
             long long: log_i,                                                                     \
             char *: log_text,                                                                     \
             const char *: log_text)((name), (value))
static inline struct log_field log_i(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .type = LOG_SIGNED, .i = value};
}
static inline struct log_field log_u(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .type = LOG_UNSIGNED, .u = value};
}
static inline struct log_field log_text(const char *key, const char *value)
{
    return (struct log_field){.key = key, .type = LOG_TEXT, .text = value};
}
static inline struct log_field kv_uuid(const char *key, const struct uuid *value)
{
    return (struct log_field){.key = key, .type = LOG_UUID, .uuid = value};
}
/* error=<name> message="..." at=<file>:<line> */
static inline struct log_field kv_err(const struct err *err)
{
    return (struct log_field){.key = "error", .type = LOG_ERR, .err = err};
}
