/* Taking a job's args and files out of its message (given.h): the rules again, for the launcher
 * trusts nothing it reads. */
#include "sandbox/given.h"
#include <stdio.h>

int given_add_arg(struct given *given, const char *text, struct err *err)
{
    size_t len = strlen(text) + 1;
    if (len > sizeof given->args - given->args_len)
        return err_set(err, ERR_INVALID, "args must be at most %zu bytes", sizeof given->args);
    memcpy(given->args + given->args_len, text, len);
    given->args_len += len;
    return 0;
}

int given_add_file(struct given *given, const char *path, uint64_t bytes, struct err *err)
{
    const char *why = file_path_rule(span_text(path));
    if (why)
        return err_set(err, ERR_INVALID, "a file's path %s", why);
    if (given->file_count == GIVEN_FILES_MAX || bytes > GIVEN_FILES_BYTES)
        return err_set(err, ERR_INVALID, "at most %d files of %d bytes", GIVEN_FILES_MAX,
                       GIVEN_FILES_BYTES);
    struct given_place *file = &given->files[given->file_count++];
    snprintf(file->path, sizeof file->path, "%s", path);
    file->bytes = bytes;
    return 0;
}

uint64_t given_bytes(const struct given *given)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < given->file_count; i++)
        bytes += given->files[i].bytes;
    return bytes;
}
