/* --cases of `rustbox submit`: a JSON file with the array as the API takes it, or a folder as
 * judges have it, with NAME.in and NAME.out (or NAME.ans) for each case, in the order of their
 * names. */
#include "lib/base/cleanup.h"
#include "lib/base/enc.h"
#include "lib/base/strict.h"
#include "producers/cli/cli.h"
#include "schemas/submission.h"
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

static int put_json_file(const char *path, struct buf *body, struct err *err)
{
    BUF_AUTO struct buf text = {.max = BODY_BYTES_MAX + 2 * 65536};
    if (read_file(path, BODY_BYTES_MAX, &text, err))
        return -1;
    json_error_t error;
    json_t *json = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return err_set(err, ERR_CONFIG, "%s: a JSON array of cases expected; line %d: %s", path,
                       error.line, error.text);
    bool array = json_is_array(json);
    char *compact = array ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (!array)
        return err_set(err, ERR_CONFIG, "%s: a JSON array of cases expected", path);
    if (compact)
        buf_puts(body, compact);
    else
        body->failed = true;
    free(compact);
    return 0;
}

static int put_text_file(const char *name, const char *path, struct buf *body, struct err *err)
{
    BUF_AUTO struct buf text = {.max = BODY_BYTES_MAX + 2 * 65536};
    if (read_file(path, BODY_BYTES_MAX, &text, err))
        return -1;
    struct span bytes = buf_span(&text);
    if (!utf8_valid(bytes) || (bytes.len > 0 && memchr(bytes.data, 0, bytes.len)))
        return err_set(err, ERR_CONFIG, "%s must be UTF-8 text without NUL", path);
    buf_printf(body, ",\"%s\":", name);
    json_quote(bytes, body);
    return 0;
}

/* "exact", "trimmed", "tokens", or "float:ABS" or "float:ABS,REL". */
static int put_checker(const char *checker, struct buf *body, struct err *err)
{
    double abs, rel = 0;
    char end;
    if (!checker)
        return 0;
    if (strncmp(checker, "float:", 6) != 0) {
        buf_puts(body, ",\"checker\":");
        json_quote(span_text(checker), body);
        return 0;
    }
    int got = sscanf(checker + 6, "%lf,%lf%c", &abs, &rel, &end);
    if (got < 1 || got > 2 || !(abs >= 0 && abs <= 1e9) || !(rel >= 0 && rel <= 1e9))
        return err_set(err, ERR_CONFIG, "--checker float:ABS,REL: two numbers from 0 to 1e9");
    buf_printf(body, ",\"checker\":{\"float\":{\"abs\":%.17g,\"rel\":%.17g}}", abs, rel);
    return 0;
}

static int put_case(const char *folder, const char *input, const char *checker, struct buf *body,
                    struct err *err)
{
    static const char *const suffixes[] = {"out", "ans"};
    char path[PATH_BYTES];
    int stem = (int)(strlen(input) - 3);
    if (!utf8_valid(span_text(input)))
        return err_set(err, ERR_CONFIG, "%s: the names of cases must be UTF-8", folder);
    buf_puts(body, "{\"name\":");
    json_quote(span_of(input, (size_t)stem), body);
    snprintf(path, sizeof path, "%s/%s", folder, input);
    if (put_text_file("stdin", path, body, err))
        return -1;
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        snprintf(path, sizeof path, "%s/%.*s.%s", folder, stem, input, suffixes[i]);
        if (access(path, F_OK) != 0)
            continue;
        if (put_text_file("expected_output", path, body, err) || put_checker(checker, body, err))
            return -1;
        buf_puts(body, "}");
        return 0;
    }
    return err_set(err, ERR_CONFIG, "%s/%.*s.out is missing", folder, stem, input);
}

static int is_input(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 3 && strcmp(entry->d_name + len - 3, ".in") == 0;
}

static int put_folder(const char *folder, const char *checker, struct buf *body, struct err *err)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_input, versionsort), failed = 0;
    if (count < 0)
        return err_sys(err, ERR_CONFIG, "%s", folder);
    if (count == 0)
        failed = err_set(err, ERR_CONFIG, "%s has no NAME.in", folder);
    buf_puts(body, "[");
    for (int i = 0; i < count; i++) {
        buf_puts(body, i > 0 ? "," : "");
        if (!failed)
            failed = put_case(folder, entries[i]->d_name, checker, body, err);
        free(entries[i]);
    }
    buf_puts(body, "]");
    free(entries);
    return failed;
}

int submit_cases(const char *path, const char *checker, bool stop_on_fail, struct buf *body,
                 struct err *err)
{
    struct stat st;
    if (!path)
        return checker || stop_on_fail
                   ? err_set(err, ERR_CONFIG, "--checker and --stop-on-fail need --cases")
                   : 0;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (checker && !folder)
        return err_set(err, ERR_CONFIG, "--checker is for a folder of cases; a file has its own");
    buf_puts(body, ",\"cases\":");
    if (folder ? put_folder(path, checker, body, err) : put_json_file(path, body, err))
        return -1;
    buf_puts(body, stop_on_fail ? ",\"stop_on_fail\":true" : "");
    return 0;
}
