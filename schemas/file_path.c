/* The rule of a given file's path (file_path.h). */
#include "schemas/file_path.h"

static const char *part_rule(struct span part)
{
    if (part.len == 0)
        return "must not have an empty part, nor begin or end with a slash";
    if (span_is(part, ".") || span_is(part, ".."))
        return "must not have a part . or ..";
    if (part.len > FILE_PART_MAX)
        return "must have parts of at most 100 bytes";
    return NULL;
}

const char *file_path_rule(struct span path)
{
    const char *text = path.data, *why = NULL;
    size_t begin = 0, parts = 0;
    if (path.len == 0 || path.len > FILE_PATH_MAX)
        return "must be 1 to 200 bytes";
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f || text[i] == '\\')
            return "must not contain control characters or backslashes";
    for (size_t i = 0; i <= path.len && !why; i++) {
        if (i < path.len && text[i] != '/')
            continue;
        why = part_rule(span_of(text + begin, i - begin));
        begin = i + 1;
        parts++;
    }
    if (!why && parts > FILE_DEPTH_MAX)
        return "must have at most 8 parts";
    return why;
}

bool file_path_covers(struct span a, struct span b)
{
    if (a.len > b.len || memcmp(a.data, b.data, a.len) != 0)
        return false;
    return a.len == b.len || ((const char *)b.data)[a.len] == '/';
}
