/* rustbox-config: --print-defaults and --check-config by themselves; it reads nothing else. */
#include "lib/config/config.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct err err = {0};
    const char *usage = "rustbox-config: prints or checks the configuration";
    int status = config_args(&argc, argv, usage, &config, &err);
    config_free(config);
    if (status < 0) {
        fprintf(stderr, "rustbox-config: %s\n", err.message);
        return 1;
    }
    if (status == 0)
        fprintf(stderr, "rustbox-config: say --check-config or --print-defaults\n");
    return status == 1 ? 0 : 2;
}
