/* language_find, profile_find and checker_find: the tables' words. What is found is a word of the
 * table and no part of one, in any case where the table says so; its limits make sense. */
#include "schemas/checkers.h"
#include "schemas/languages.h"
#include "tests/fuzz/fuzz.h"
#include <ctype.h>

#define WORD_MAX 16

static const struct {
    enum language language;
    const char *words; /* between spaces: the public contract's */
} rows[] = {
    {LANGUAGE_python, " python py "},
    {LANGUAGE_c, " c "},
    {LANGUAGE_cpp, " cpp c++ cxx cc "},
    {LANGUAGE_java, " java "},
    {LANGUAGE_javascript, " javascript js "},
    {LANGUAGE_typescript, " typescript ts "},
    {LANGUAGE_go, " go "},
    {LANGUAGE_rust, " rust rs "},
};

/* The text in lower case between two spaces; "" when it cannot be a word. */
static void as_word(struct span text, char out[WORD_MAX + 3])
{
    const char *bytes = text.data;
    out[0] = '\0';
    if (text.len == 0 || text.len > WORD_MAX)
        return;
    for (size_t i = 0; i < text.len; i++) {
        if (bytes[i] <= ' ')
            return;
        out[i + 1] = (char)tolower((unsigned char)bytes[i]);
    }
    out[0] = out[text.len + 1] = ' ';
    out[text.len + 2] = '\0';
}

static void check_language(struct span text)
{
    char word[WORD_MAX + 3];
    enum language found = LANGUAGE_COUNT, wanted = LANGUAGE_COUNT;
    as_word(text, word);
    for (size_t i = 0; word[0] && i < COUNT_OF(rows); i++)
        if (strstr(rows[i].words, word))
            wanted = rows[i].language;
    bool known = language_find(text, &found) == 0;
    CHECK(known == (wanted != LANGUAGE_COUNT) && found == wanted);
    for (int i = 0; known && i < PROFILE_COUNT; i++) {
        struct limits run = limits_run(found, (enum profile)i);
        CHECK(run.cpu_ms > 0 && run.cpu_ms <= run.wall_ms && run.processes > 0);
        CHECK((limits_compile(found).memory_bytes != 0) == (language_output(found)[0] != '\0'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    enum profile profile;
    enum checker_kind checker;
    check_language(text);
    if (profile_find(text, &profile) == 0)
        CHECK(span_is(text, profile_name(profile)));
    if (checker_find(text, &checker) == 0)
        CHECK(span_is(text, checker_name(checker)));
    return 0;
}
