/* The one logger of the process: builds a line on the stack, writes it with one write(2).
 *
 * It never allocates, never fails its caller and does not wait for its reader: a full pipe or
 * closed stderr loses the line, and the next one that gets through is preceded by the number of
 * lost ones. O_NONBLOCK would be set for everybody who shares the pipe; so the pipe is asked for
 * room instead. pipe(7): POLLOUT means a free page, and a line is shorter than that. Only another
 * writer of the same pipe can take it in between.
 *
 * The rate limit is a small table by event name; when it is full, the oldest window gives way. */
#include "lib/log/log.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_NS INT64_C(1000000000)
#define EVENTS 64
_Static_assert(LOG_LINE <= PIPE_BUF, "a line is one write that a pipe with room takes whole");

struct window {
    char event[40];
    int64_t began_ns; /* monotonic; 0 = free */
    uint64_t lines;   /* asked for within the window */
};

static struct {
    const char *prog;
    const struct clock *clock;
    enum log_level lowest;
    int fd;
    uint64_t lost; /* lines since the last one that got through */
    char submission[UUID_TEXT];
    struct window windows[EVENTS];
} logger = {.prog = "rustbox", .clock = &clock_system, .lowest = LOG_INFO, .fd = 2};

static const char *const level_names[] = {"debug", "info", "warn", "error", "fatal"};

struct line {
    size_t len;
    char text[LOG_LINE];
};

static void put(struct line *line, const char *text, size_t len)
{
    size_t room = sizeof line->text - 1 - line->len; /* the newline always fits */
    if (len > room)
        len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static bool is_plain(struct span value)
{
    const unsigned char *in = value.data;
    for (size_t i = 0; i < value.len; i++)
        if (in[i] <= ' ' || in[i] >= 0x7f || in[i] == '"' || in[i] == '=' || in[i] == '\\')
            return false;
    return value.len > 0;
}

/* Quotes what is not plain. Control characters become '?': no value can begin a line. */
static void put_value(struct line *line, struct span value)
{
    const char *in = value.data;
    if (is_plain(value)) {
        put(line, in, value.len);
        return;
    }
    bool well_formed = utf8_valid(value);
    put(line, "\"", 1);
    for (size_t i = 0; i < value.len && line->len < sizeof line->text - 3; i++) {
        unsigned char c = (unsigned char)in[i];
        if (c == '"' || c == '\\')
            put(line, "\\", 1);
        put(line, c < ' ' || c == 0x7f || (c >= 0x80 && !well_formed) ? "?" : in + i, 1);
    }
    put(line, "\"", 1);
}

static void put_key(struct line *line, const char *key)
{
    put(line, " ", 1);
    put_text(line, key);
    put(line, "=", 1);
}

static void put_field(struct line *line, const struct log_field *field)
{
    char text[UUID_TEXT];
    put_key(line, field->key);
    switch (field->type) {
    case LOG_END:
        break;
    case LOG_SIGNED:
        snprintf(text, sizeof text, "%lld", (long long)field->i);
        put_text(line, text);
        break;
    case LOG_UNSIGNED:
        snprintf(text, sizeof text, "%llu", (unsigned long long)field->u);
        put_text(line, text);
        break;
    case LOG_TEXT:
        put_value(line, span_text(field->text ? field->text : ""));
        break;
    case LOG_UUID:
        uuid_format(field->uuid, text);
        put_text(line, text);
        break;
    case LOG_ERR:
        put_text(line, err_name(field->err->code));
        put_key(line, "message");
        put_value(line, span_text(field->err->message));
        if (field->err->file) {
            snprintf(text, sizeof text, ":%d", field->err->line);
            put_key(line, "at");
            put_text(line, field->err->file);
            put_text(line, text);
        }
        break;
    }
}

static void put_head(struct line *line, enum log_level level, const char *event)
{
    char time[RFC3339_TEXT];
    rfc3339_format(logger.clock->wall_ns(logger.clock), time);
    put_text(line, "ts=");
    put_text(line, time);
    put_text(line, " level=");
    put_text(line, level_names[level]);
    put_text(line, " prog=");
    put_text(line, logger.prog);
    put_text(line, " event=");
    put_text(line, event);
}

static bool write_line(struct line *line)
{
    struct pollfd room = {.fd = logger.fd, .events = POLLOUT};
    if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
        return false;
    line->text[line->len++] = '\n';
    return write(logger.fd, line->text, line->len) == (ssize_t)line->len;
}

static bool tell_lost(void)
{
    if (logger.lost == 0)
        return true;
    struct line line = {.len = 0};
    const struct log_field count = kv("count", logger.lost);
    put_head(&line, LOG_WARN, "log_lost");
    put_field(&line, &count);
    if (!write_line(&line))
        return false;
    logger.lost = 0;
    return true;
}

static void emit(enum log_level level, const char *event, const struct log_field *fields,
                 bool with_context)
{
    struct line line = {.len = 0};
    put_head(&line, level, event);
    if (with_context && logger.submission[0]) {
        put_text(&line, " sub=");
        put_text(&line, logger.submission);
    }
    for (; fields->type != LOG_END; fields++)
        put_field(&line, fields);
    if (!tell_lost() || !write_line(&line))
        logger.lost++;
}

static void close_window(struct window *window)
{
    if (window->lines > LOG_BURST) {
        const struct log_field fields[] = {
            kv("of", (const char *)window->event), kv("count", window->lines - LOG_BURST), {0}};
        emit(LOG_WARN, "log_suppressed", fields, false);
    }
    window->began_ns = 0;
    window->lines = 0;
}

/* The event's window, opened when there is none; windows that have ended are closed on the way. */
static struct window *window_of(const char *event, int64_t now)
{
    struct window *found = NULL, *reuse = &logger.windows[0];
    for (size_t i = 0; i < EVENTS; i++) {
        struct window *window = &logger.windows[i];
        if (window->began_ns != 0 && now - window->began_ns >= WINDOW_NS)
            close_window(window);
        if (window->began_ns != 0 && strncmp(window->event, event, sizeof window->event - 1) == 0)
            found = window;
        if (window->began_ns < reuse->began_ns)
            reuse = window;
    }
    if (found)
        return found;
    close_window(reuse);
    snprintf(reuse->event, sizeof reuse->event, "%s", event);
    reuse->began_ns = now > 0 ? now : 1;
    return reuse;
}

void log_open(const char *prog, enum log_level lowest, int fd, const struct clock *clock)
{
    memset(logger.windows, 0, sizeof logger.windows);
    logger.prog = prog;
    logger.lowest = lowest;
    logger.fd = fd;
    logger.clock = clock;
    logger.lost = 0;
}

int log_level_parse(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < COUNT_OF(level_names); i++)
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    return -1;
}

void log_context(const struct uuid *submission)
{
    if (submission)
        uuid_format(submission, logger.submission);
    else
        logger.submission[0] = '\0';
}

void log_flush(void)
{
    for (size_t i = 0; i < EVENTS; i++)
        if (logger.windows[i].began_ns != 0)
            close_window(&logger.windows[i]);
}

bool log_enabled(enum log_level level)
{
    return level >= logger.lowest;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;
    struct window *window = window_of(event, logger.clock->mono_ns(logger.clock));
    if (++window->lines <= LOG_BURST || level == LOG_FATAL)
        emit(level, event, fields, true);
}
