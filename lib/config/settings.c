/* settings.def as an array, and the commented file made from it. */
#include "lib/config/settings.h"
#include <string.h>

const struct setting_row setting_rows[SETTING_COUNT] = {
#define SETTING(section, key, type, unit, fallback, help)                                          \
    [SETTING_##section##_##key] = {#section, #key, SETTING_IS_##type, unit, fallback, help},
#include "lib/config/settings.def"
#undef SETTING
};

/* "# " lines of at most 96 columns. */
static void print_comment(struct buf *out, const char *text)
{
    while (*text) {
        size_t len = strlen(text);
        if (len > 94) {
            len = 94;
            while (len > 0 && text[len] != ' ')
                len--;
            if (len == 0)
                len = 94;
        }
        buf_puts(out, "# ");
        buf_add(out, text, len);
        buf_puts(out, "\n");
        text += len;
        while (*text == ' ')
            text++;
    }
}

void config_print_defaults(struct buf *out)
{
    buf_puts(out,
             "# Rustbox configuration: every setting with its default. Uncomment what you change.\n"
             "# Each can also be given as environment variable RUSTBOX_<SECTION>_<KEY>.\n");
    const char *section = "";
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_row *row = &setting_rows[i];
        if (strcmp(section, row->section) != 0)
            buf_printf(out, "\n[%s]\n", row->section);
        section = row->section;
        print_comment(out, row->help);
        buf_printf(out, "# (%s%s%s)\n", setting_type_rule(row->type), row->unit[0] ? ", " : "",
                   row->unit);
        buf_printf(out, "#%s = %s\n", row->key, row->fallback);
    }
}
