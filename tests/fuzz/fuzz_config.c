/* config_load: a configuration file. What is taken keeps the settings' types; what is refused is
 * refused with a line of its own words. */
#include "lib/base/cleanup.h"
#include "lib/config/config.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct config *config = NULL;
    struct err err = {.code = ERR_NONE};
    AUTO_FD int fd = memfd_create("config", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (config_load(path, &config, &err)) {
        CHECK(err.code == ERR_CONFIG && err.message[0] != '\0');
        return 0;
    }
    CHECK(config != NULL);
    static const struct {
        enum setting setting;
        int type;
    } rows[] = {
#define SETTING(section, key, type, ...) {SETTING_##section##_##key, type},
#define TEXT 0
#define PATH 0
#define SECRET 0
#define INT 1
#define DURATION 2
#define SIZE 3
#include "lib/config/settings.def"
#undef SETTING
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].type == 0)
            CHECK(config_text(config, rows[i].setting) != NULL);
        if (rows[i].type == 1)
            CHECK(config_int(config, rows[i].setting) >= 0);
        if (rows[i].type == 2)
            CHECK(config_ms(config, rows[i].setting) >= 0);
        if (rows[i].type == 3)
            (void)config_bytes(config, rows[i].setting);
    }
    config_free(config);
    return 0;
}
