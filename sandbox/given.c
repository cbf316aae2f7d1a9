/* See given.h. Paths were checked by schemas/file_path.h; every directory written to is a tmpfs of
 * the launcher's that no program has seen yet. */
#include "sandbox/given.h"
#include "lib/base/cleanup.h"
#include "sandbox/mounts.h"
#include "sandbox/toolchains.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static int make_parents(int dir, const char *path, struct err *err)
{
    char part[FILE_PATH_MAX + 1];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdirat(dir, part, 0755) != 0 && errno != EEXIST)
            return err_sys(err, ERR_SYSTEM, "make a directory for a given file");
    }
    return 0;
}

int given_put(int dir, const struct given *given, int from, uint64_t offset, struct err *err)
{
    for (size_t i = 0; i < given->file_count; i++) {
        const struct given_place *file = &given->files[i];
        if (make_parents(dir, file->path, err) != 0 ||
            mounts_copy_part(dir, file->path, from, offset, file->bytes, 0444, err) != 0)
            return -1;
        offset += file->bytes;
    }
    return 0;
}

static size_t add_word(char *out, size_t len, const char *prefix, const char *text)
{
    int added = snprintf(out + len, GIVEN_WORDS_MAX - len, "%s%s", prefix, text);
    return len + (size_t)added + 1;
}

static bool has_suffix(const char *path, const char *suffix, size_t len)
{
    size_t whole = strlen(path);
    return whole > len && memcmp(path + whole - len, suffix, len) == 0;
}

/* Is it a source of the language? suffixes are separated by one space. */
static bool is_source(const char *path, const struct toolchain *toolchain)
{
    if (toolchain->sources_at_top && (strchr(path, '/') || has_suffix(path, "_test.go", 8)))
        return false;
    for (const char *word = toolchain->sources; *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (has_suffix(path, word, len))
            return true;
        word += len + (word[len] == ' ');
    }
    return false;
}

size_t given_compile_words(const struct given *given, const struct toolchain *toolchain,
                           char out[GIVEN_WORDS_MAX])
{
    size_t len = 0;
    for (size_t i = 0; given->file_count > 0 && toolchain->with_files[i]; i++)
        len = add_word(out, len, "", toolchain->with_files[i]);
    for (size_t i = 0; i < given->file_count; i++)
        if (is_source(given->files[i].path, toolchain))
            len = add_word(out, len, "/box/", given->files[i].path);
    return len;
}

int given_link(int dir, const struct given *given, struct err *err)
{
    for (size_t i = 0; i < given->file_count; i++) {
        char name[FILE_PATH_MAX + 1], target[FILE_PATH_MAX + 8];
        const char *path = given->files[i].path;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(path, "/"), path);
        snprintf(target, sizeof target, "/box/%s", name);
        if (symlinkat(target, dir, name) != 0 && errno != EEXIST)
            return err_sys(err, ERR_SYSTEM, "link a given file");
    }
    return 0;
}
