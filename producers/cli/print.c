/* How results look on a terminal, and what their verdicts are as exit codes. */
#include "lib/base/strict.h"
#include "producers/cli/cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
    putchar('\n');
}

/* A program must not drive the reader's terminal: no escapes, no carriage returns. */
static void put_safely(const char *text, size_t len)
{
    bool terminal = isatty(STDOUT_FILENO);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool control = (c < ' ' && c != '\n' && c != '\t') || c == 0x7f ||
                       (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0);
        putchar(terminal && control ? '?' : c);
        if (terminal && control && c == 0xc2)
            i++;
    }
}

void put_field(struct buf *out, struct span text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)at[i];
        bool two = c == 0xc2 && i + 1 < text.len && (unsigned char)at[i + 1] < 0xa0;
        if (c < ' ' || c == 0x7f || two)
            buf_puts(out, "?");
        else
            buf_add(out, at + i, 1);
        i += two;
    }
}

/* As a shell takes it for one word. */
static void print_word(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._:/@%+=,";
    if (*text && text[strspn(text, plain)] == '\0') {
        printf(" %s", text);
        return;
    }
    printf(" '");
    for (; *text; text++)
        if (*text == '\'')
            printf("'\\''");
        else
            putchar(*text);
    putchar('\'');
}

/* With all that chose these rows, so that it can be pasted; a key is not shown to whoever looks. */
static void print_next(const struct args *args, const char *cursor)
{
    const struct verb *verb = args->verb;
    const char *usual_api = getenv("RUSTBOX_API");
    printf("more: rustbox %s", verb->name);
    for (size_t i = 0; i < args->positionals; i++)
        print_word(args->positional[i]);
    for (size_t i = 0; i < verb->option_count; i++) {
        if (!args->value[i] || strcmp(verb->options[i].name, "--cursor") == 0)
            continue;
        printf(" %s", verb->options[i].name);
        print_word(args->value[i]);
    }
    if (args->api && (!usual_api || strcmp(args->api, usual_api) != 0)) {
        printf(" --api");
        print_word(args->api);
    }
    printf(" --cursor");
    print_word(cursor);
    putchar('\n');
}

int print_page(const struct args *args, json_t *json, const char *name,
               void (*print)(const json_t *row))
{
    size_t i;
    json_t *row;
    if (args->json) {
        print_json(json);
    } else {
        json_array_foreach(json_object_get(json, name), i, row)
        {
            print(row);
        }
        if (json_text(json, "next_cursor")[0])
            print_next(args, json_text(json, "next_cursor"));
    }
    json_decref(json);
    return 0;
}

void print_output(const char *title, const json_t *body, const char *name)
{
    const json_t *value = json_object_get(body, name);
    const char *text = json_string_value(value);
    size_t len = text ? json_string_length(value) : 0;
    if (len == 0)
        return;
    printf("--- %s\n", title);
    put_safely(text, len);
    if (text[len - 1] != '\n')
        putchar('\n');
}

static int exit_code_of(const char *verdict)
{
    static const struct {
        const char *verdict;
        int code;
    } codes[] = {{"AC", EXIT_AC},   {"RE", EXIT_RE}, {"TLE", EXIT_TLE}, {"MLE", EXIT_MLE},
                 {"SIG", EXIT_SIG}, {"IE", EXIT_IE}, {"WA", EXIT_WA},   {"PLE", EXIT_PLE},
                 {"FSE", EXIT_FSE}, {"", EXIT_OPEN}};
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (strcmp(codes[i].verdict, verdict) == 0)
            return codes[i].code;
    return EXIT_FAILED;
}

/* One line a case: its verdict, name and figures. */
static void print_cases(const json_t *body)
{
    size_t i;
    const json_t *one, *summary = json_object_get(body, "cases_summary");
    if (!summary)
        return;
    printf("cases: %d of %d passed\n", (int)json_integer_value(json_object_get(summary, "passed")),
           (int)json_integer_value(json_object_get(summary, "total")));
    json_array_foreach(json_object_get(body, "cases"), i, one)
    {
        const char *verdict = json_text(one, "verdict");
        printf("  %-4s ", verdict[0] ? verdict : "-");
        put_safely(json_text(one, "name"), strlen(json_text(one, "name")));
        if (verdict[0])
            printf("  %s  cpu %.3f s  memory %.1f MiB", json_text(one, "verdict_cause"),
                   json_number_value(json_object_get(one, "cpu_time_secs")),
                   json_number_value(json_object_get(one, "memory_peak_bytes")) / 1048576);
        putchar('\n');
    }
}

int print_result(const json_t *body, bool json_wanted)
{
    const char *verdict = json_text(body, "verdict");
    const json_t *ev = json_object_get(body, "evidence");
    if (json_wanted) {
        print_json(body);
        return exit_code_of(verdict);
    }
    printf("%-8s %s", verdict[0] ? verdict : json_text(body, "job_status"),
           json_text(body, "language"));
    if (verdict[0]) {
        const json_t *code = json_object_get(body, "exit_code"),
                     *sig = json_object_get(body, "signal");
        printf("  %s", json_text(ev, "verdict_cause"));
        if (json_is_integer(code))
            printf("  exit %d", (int)json_integer_value(code));
        if (json_is_integer(sig))
            printf("  signal %d", (int)json_integer_value(sig));
        printf("  cpu %.3f s  wall %.3f s  memory %.1f MiB",
               json_number_value(json_object_get(body, "cpu_time_secs")),
               json_number_value(json_object_get(body, "wall_time_secs")),
               json_number_value(json_object_get(body, "memory_peak_bytes")) / 1048576);
    }
    printf("  %s\n", json_text(body, "id"));
    print_cases(body);
    print_output("error", body, "error_message");
    print_output("stdout", body, "stdout");
    print_output("stderr", body, "stderr");
    return exit_code_of(verdict);
}
