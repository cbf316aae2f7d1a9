/* Loads the attempts; see attempt.h. */
#include "tests/escape/attempt.h"
#include "lib/base/buf.h"
#include "tests/unit/unit.h"
#include <dirent.h>
#include <errno.h>

#define ATTEMPTS RUSTBOX_SOURCE_DIR "/tests/escape/attempts"
#define PROGRAM_BYTES (256 << 10)

static const struct row {
    const char *name;
    int number;
    const char *args;
    int error;
    const char *event, *layers;
} rows[] = {
#define CALL(name, number, args, error, event, layers) {#name, number, args, error, event, layers},
#include "tests/escape/calls.def"
#undef CALL
};

/* Tried in every language that can make a system call by its number. */
static const char *const everywhere[] = {
    "ptrace",    "process_vm_readv",     "mount",          "unshare_user",
    "setns",     "io_uring_setup",       "keyctl_session", "userfaultfd",
    "clone3",    "socket_netlink",       "memfd_create",   "perf_event_open",
    "open_tree", "personality_no_random"};

static const struct {
    enum language language;
    const char *text; /* number, arguments, the errno that is expected */
} templates[] = {
    {LANGUAGE_c, "int main(void)\n{\n    errno = 0;\n    long r = syscall(%d, %s);\n"
                 "    if (r != -1 || errno != %d)\n        escaped();\n    return 1;\n}\n"},
    {LANGUAGE_cpp, "int main()\n{\n    errno = 0;\n    long r = syscall(%d, %s);\n"
                   "    if (r != -1 || errno != %d)\n        escaped();\n    return 1;\n}\n"},
    {LANGUAGE_python, "import ctypes, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
                      "libc.syscall.restype = ctypes.c_long\n"
                      "r = libc.syscall(*(ctypes.c_long(a) for a in (%d, %s)))\n"
                      "if r != -1 or ctypes.get_errno() != %d:\n    print('ESCAPED')\n"
                      "    sys.exit(0)\nsys.exit(1)\n"},
    {LANGUAGE_go, "package main\nimport (\"fmt\"; \"os\"; \"syscall\")\nfunc main() {\n"
                  "\tn := []int64{%d, %s, 0, 0, 0, 0, 0}\n\tu := func(i int) uintptr { "
                  "return uintptr(n[i]) }\n\t_, _, e := syscall.RawSyscall6(u(0), u(1), u(2), u(3),"
                  " u(4), u(5), u(6))\n\tif e != %d {\n\t\tfmt.Println(\"ESCAPED\")\n\t\treturn\n"
                  "\t}\n\tos.Exit(1)\n}\n"},
    {LANGUAGE_rust, "extern \"C\" { fn syscall(n: i64, ...) -> i64; }\nfn main() {\n"
                    "    let mut n: Vec<i64> = vec![%d, %s];\n    n.resize(7, 0);\n"
                    "    let r = unsafe { syscall(n[0], n[1], n[2], n[3], n[4], n[5], n[6]) };\n"
                    "    let e = std::io::Error::last_os_error().raw_os_error();\n"
                    "    if r != -1 || e != Some(%d) {\n        println!(\"ESCAPED\");\n"
                    "        return;\n    }\n    std::process::exit(1);\n}\n"},
};

static char *whole_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, PROGRAM_BYTES);
    if (!file || !text)
        fail_msg("%s: %s", path, strerror(errno));
    else if (fread(text, 1, PROGRAM_BYTES - 1, file) == 0)
        fail_msg("%s is empty", path);
    if (file)
        fclose(file);
    return text;
}

static const char *value_of(const char *word, size_t len, const struct canary *canary)
{
    static char text[64];
    if (len == 5 && strncmp(word, "@DIR@", len) == 0)
        return canary->dir;
    if (len == 6 && strncmp(word, "@NAME@", len) == 0)
        return canary->name;
    if (len == 6 && strncmp(word, "@PORT@", len) == 0)
        snprintf(text, sizeof text, "%u", canary->port);
    else if (len == 5 && strncmp(word, "@PID@", len) == 0)
        snprintf(text, sizeof text, "%d", (int)canary->process);
    else if (len == 5 && strncmp(word, "@KEY@", len) == 0)
        snprintf(text, sizeof text, "%d", canary->key);
    else
        return NULL;
    return text;
}

/* The program as it is submitted: the prelude of C and C++, and the canary's values. */
char *attempt_program(const struct attempt *attempt, const struct canary *canary)
{
    enum language language = attempt->language;
    const char *text = attempt->code;
    char *out = calloc(1, PROGRAM_BYTES), *prelude = NULL;
    size_t used = 0;
    assert_non_null(out);
    if (language == LANGUAGE_c || language == LANGUAGE_cpp) {
        prelude = whole_file(ATTEMPTS "/prelude.h");
        used = (size_t)snprintf(out, PROGRAM_BYTES, "%s", prelude);
    }
    free(prelude);
    while (*text && used + 128 < PROGRAM_BYTES) {
        const char *end = *text == '@' ? strchr(text + 1, '@') : NULL;
        size_t len = end ? (size_t)(end - text) + 1 : 0;
        const char *value = end ? value_of(text, len, canary) : NULL;
        if (value) {
            used += (size_t)snprintf(out + used, PROGRAM_BYTES - used, "%s", value);
            text += len;
        } else {
            out[used++] = *text++;
        }
    }
    return out;
}

size_t attempt_files(char *program, struct box_file files[ATTEMPT_FILES_MAX])
{
    static const char mark[] = "\n@@FILE ";
    size_t count = 0;
    for (char *at = strstr(program, mark); at; count++) {
        assert_true(count < ATTEMPT_FILES_MAX);
        *at = '\0';
        char *path = at + strlen(mark), *end = strchr(path, '\n');
        assert_non_null(end);
        *end = '\0';
        at = strstr(end + 1, mark);
        files[count].path = span_text(path);
        files[count].content = span_of(end + 1, at ? (size_t)(at - end - 1) : strlen(end + 1));
    }
    return count;
}

static size_t load_calls(struct attempt *out)
{
    size_t count = 0;
    for (size_t t = 0; t < COUNT_OF(templates); t++)
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            const struct row *row = &rows[i];
            bool wanted = templates[t].language == LANGUAGE_c;
            for (size_t e = 0; e < COUNT_OF(everywhere); e++)
                wanted |= strcmp(everywhere[e], row->name) == 0;
            if (!wanted)
                continue;
            struct attempt *attempt = &out[count++];
            char text[2048];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof text, templates[t].text, row->number, row->args, row->error);
#pragma GCC diagnostic pop
            *attempt = (struct attempt){.language = templates[t].language,
                                        .verdict = VERDICT_RE,
                                        .cause = CAUSE_re_nonzero_exit,
                                        .switchable = true,
                                        .runs = 1,
                                        .check_event = true,
                                        .code = strdup(text)};
            snprintf(attempt->name, sizeof attempt->name, "call_%s", row->name);
            snprintf(attempt->layers, sizeof attempt->layers, "%s", row->layers);
            snprintf(attempt->event, sizeof attempt->event, "%s", row->event);
        }
    return count;
}

static void header_word(struct attempt *attempt, const char *path, const char *word)
{
    const char *value = strchr(word, '=');
    size_t len = value ? (size_t)(value - word) : 0;
    bool fine = value != NULL;
    value += fine;
    if (fine && strncmp(word, "layers", len) == 0)
        snprintf(attempt->layers, sizeof attempt->layers, "%s", value);
    else if (fine && strncmp(word, "verdict", len) == 0)
        fine = verdict_find(span_text(value), &attempt->verdict) == 0;
    else if (fine && strncmp(word, "cause", len) == 0)
        fine = cause_find(span_text(value), &attempt->cause) == 0;
    else if (fine && strncmp(word, "proof", len) == 0)
        attempt->by_verdict = fine = strcmp(value, "verdict") == 0;
    else if (fine && strncmp(word, "abi", len) == 0)
        fine = span_u64(span_text(value), &attempt->landlock_abi) == 0;
    else if (fine && strncmp(word, "cpu_ms", len) == 0)
        fine = span_u64(span_text(value), &attempt->cpu_ms) == 0;
    else if (fine && strncmp(word, "wall_ms", len) == 0)
        fine = span_u64(span_text(value), &attempt->wall_ms) == 0;
    else if (fine && strncmp(word, "runs", len) == 0)
        fine = span_u64(span_text(value), &attempt->runs) == 0 && attempt->runs > 1;
    else
        fine = false;
    if (!fine)
        fail_msg("%s: first line: %s is not understood, see attempt.h", path, word);
}

static void load_file(struct attempt *attempt, enum language language, const char *name)
{
    char path[512], line[512];
    snprintf(path, sizeof path, ATTEMPTS "/%s/%s", language_name(language), name);
    char *text = whole_file(path);
    *attempt = (struct attempt){
        .language = language, .verdict = VERDICT_RE, .cause = CAUSE_re_nonzero_exit, .runs = 1};
    snprintf(attempt->name, sizeof attempt->name, "%.*s", (int)strcspn(name, "."), name);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
    char *header = strstr(line, "escape: "), *end = strstr(line, " */");
    if (!header)
        fail_msg("%s: the first line has no \"escape: \"", path);
    if (end)
        *end = '\0';
    char *rest = header + strlen("escape: ");
    for (char *word; (word = strsep(&rest, " "));)
        if (*word)
            header_word(attempt, path, word);
    if (!attempt->layers[0])
        fail_msg("%s: the first line names no layers=", path);
    attempt->switchable = strcmp(attempt->layers, "always") != 0;
    attempt->code = text;
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

size_t attempts_load(struct attempt *out)
{
    size_t count = load_calls(out);
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++) {
        char path[512];
        struct dirent **list = NULL;
        snprintf(path, sizeof path, ATTEMPTS "/%s", language_name((enum language)i));
        int files = scandir(path, &list, not_hidden, alphasort);
        if (files <= 0)
            fail_msg("%s: no attempt in this language", path);
        for (int f = 0; f < files; f++) {
            assert_true(count < ATTEMPTS_MAX);
            load_file(&out[count++], (enum language)i, list[f]->d_name);
            free(list[f]);
        }
        free(list);
    }
    return count;
}

void attempts_done(struct attempt *attempts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(attempts[i].code);
}
