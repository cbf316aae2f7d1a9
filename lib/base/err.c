/* Filling the error object. A message never holds control characters: texts of libraries end in
 * newlines, and an error becomes one log line. */
#include "lib/base/err.h"
#include <stdio.h>
#include <string.h>

static void flatten(char *text)
{
    size_t end = strlen(text);
    while (end > 0 && (unsigned char)text[end - 1] <= ' ')
        text[--end] = '\0';
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
}

/* Cuts what does not fit. */
static void append(char *message, size_t size, const char *text)
{
    size_t used = strlen(message), len = strlen(text);
    if (len > size - 1 - used)
        len = size - 1 - used;
    memcpy(message + used, text, len);
    message[used + len] = '\0';
}

void err_set_at(struct err *err, enum err_code code, int sys, const char *file, int line,
                const char *format, ...)
{
    if (!err)
        return;
    char message[sizeof err->message]; /* arguments may point into err->message */
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (sys != 0) {
        const char *text = strerrordesc_np(sys);
        append(message, sizeof message, ": ");
        append(message, sizeof message, text ? text : "unknown error");
    }
    flatten(message);
    memcpy(err->message, message, sizeof message);
    err->code = code;
    err->sys = sys;
    err->file = file;
    err->line = line;
}

void err_wrap_by(struct err *err, const char *format, ...)
{
    if (!err)
        return;
    char message[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    append(message, sizeof message, ": ");
    append(message, sizeof message, err->message);
    flatten(message);
    memcpy(err->message, message, sizeof message);
}

enum err_class err_class(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
    case ERR_INVALID:
    case ERR_TOO_LARGE:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_DENIED:
    case ERR_ERASED:
    case ERR_EXPIRED:
        return ERR_REJECTED;
    case ERR_BUSY:
    case ERR_TIMEOUT:
        return ERR_RETRY;
    case ERR_CORRUPT:
        return ERR_POISON;
    case ERR_BROKER:
    case ERR_DATABASE:
    case ERR_LAUNCHER:
    case ERR_SYSTEM:
        return ERR_SYSTEMIC;
    case ERR_NO_MEMORY:
    case ERR_CONFIG:
    case ERR_BUG:
        return ERR_FATAL;
    }
    return ERR_FATAL;
}

const char *err_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_INVALID:
        return "invalid";
    case ERR_TOO_LARGE:
        return "too_large";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_DENIED:
        return "denied";
    case ERR_ERASED:
        return "erased";
    case ERR_EXPIRED:
        return "expired";
    case ERR_BUSY:
        return "busy";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_BROKER:
        return "broker";
    case ERR_DATABASE:
        return "database";
    case ERR_LAUNCHER:
        return "launcher";
    case ERR_SYSTEM:
        return "system";
    case ERR_NO_MEMORY:
        return "no_memory";
    case ERR_CONFIG:
        return "config";
    case ERR_BUG:
        return "bug";
    }
    return "unknown";
}
