/* Configuration: `key = value` lines in [sections]; every key is a row of settings.def.
 *
 * Order of precedence: environment RUSTBOX_<SECTION>_<KEY>, the file, the table's default. An
 * unknown section or key, a key given twice or a value of the wrong type is an error with file and
 * line; values are never repeated in messages. Secrets are given as paths of files only.
 * Programs begin with config_args(), then read values with config_*(config, SETTING_section_key).
 */
#pragma once
#include "lib/base/buf.h"
#include "lib/base/err.h"

enum setting {
#define SETTING(section, key, ...) SETTING_##section##_##key,
#include "lib/config/settings.def"
#undef SETTING
    SETTING_COUNT
};

struct config;

/* Takes --config FILE, --check-config, --print-defaults and --help out of argv (the rest stays for
 * the program) and loads. FILE defaults to $RUSTBOX_CONFIG, then /etc/rustbox/rustbox.conf if it is
 * there. `usage` is printed by --help before these options. 0 = run with *out, 1 = done, exit with
 * status 0, -1 = error. */
int config_args(int *argc, char **argv, const char *usage, struct config **out,
                struct err *err) MUST_CHECK;
/* From one file; NULL: defaults and environment only. */
int config_load(const char *path, struct config **out, struct err *err) MUST_CHECK;
void config_free(struct config *config);

/* Values live as long as the config. Asking with the wrong type is a bug and aborts. */
const char *config_text(const struct config *config, enum setting setting); /* TEXT, PATH, SECRET */
int64_t config_int(const struct config *config, enum setting setting);      /* INT: >= 0 */
int64_t config_ms(const struct config *config, enum setting setting);       /* DURATION */
uint64_t config_bytes(const struct config *config, enum setting setting);   /* SIZE */

void config_print_defaults(struct buf *out); /* the commented file ops/etc/rustbox.conf */
