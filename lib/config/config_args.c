/* The four options that every program has. What is not one of them stays in argv. */
#include "lib/config/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_PATH "/etc/rustbox/rustbox.conf"

static void print_defaults(void)
{
    BUF_AUTO struct buf out;
    buf_init(&out, 1 << 20);
    config_print_defaults(&out);
    fputs(buf_text(&out), stdout);
}

static void print_help(const char *usage)
{
    printf("%s\n"
           "  --config FILE      configuration (default: $RUSTBOX_CONFIG, then " SYSTEM_PATH ")\n"
           "  --check-config     reads the configuration, says whether it is good, and ends\n"
           "  --print-defaults   prints every setting with its default, type and meaning\n"
           "  --help             this text\n",
           usage);
}

struct options {
    const char *path;
    bool check, defaults, help;
};

static int take_options(int *argc, char **argv, struct options *options, struct err *err)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--config") == 0) {
            if (++i >= *argc)
                return err_set(err, ERR_CONFIG, "--config needs the path of a file");
            options->path = argv[i];
        } else if (strcmp(argv[i], "--check-config") == 0) {
            options->check = true;
        } else if (strcmp(argv[i], "--print-defaults") == 0) {
            options->defaults = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            options->help = true;
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return 0;
}

int config_args(int *argc, char **argv, const char *usage, struct config **out, struct err *err)
{
    struct options options = {.path = getenv("RUSTBOX_CONFIG")};
    if (take_options(argc, argv, &options, err))
        return -1;
    if (options.help || options.defaults) {
        if (options.help)
            print_help(usage);
        else
            print_defaults();
        return 1;
    }
    if (options.path && !options.path[0]) /* RUSTBOX_CONFIG= */
        options.path = NULL;
    if (!options.path && access(SYSTEM_PATH, F_OK) == 0)
        options.path = SYSTEM_PATH;
    if (config_load(options.path, out, err))
        return -1;
    if (options.check) {
        printf("good: %s\n", options.path ? options.path : "defaults and environment");
        config_free(*out);
        *out = NULL;
        return 1;
    }
    return 0;
}
