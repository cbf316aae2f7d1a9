/* rustbox-consumer: one stage of the pipeline per process. Holds the stage table; everything else
 * is in runtime/. */
#include "consumers/runtime/runtime.h"
#include "consumers/stages.h"
#include "lib/base/std_fds.h"
#include "lib/log/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct stage *const stages[] = {&admit_stage, &execute_stage, &persist_stage,
                                      &relay_stage, &deliver_stage, NULL};

static const char usage[] =
    "Usage: rustbox-consumer --stage NAME [--instance TEXT]\n"
    "Runs one stage of the pipeline: takes records from its topics until SIGTERM.\n"
    "  --stage NAME      which stage: admit, execute, persist, relay or deliver\n"
    "  --instance TEXT   tells processes of one stage on one host apart (default 0); keep it over\n"
    "                    restarts, so that a restarted process gets its partitions back at once";

static const struct stage *find_stage(const char *name)
{
    for (size_t i = 0; stages[i]; i++)
        if (strcmp(stages[i]->name, name) == 0)
            return stages[i];
    return NULL;
}

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "rustbox-consumer: %s%s\nstages:", what, value);
    for (size_t i = 0; stages[i]; i++)
        fprintf(stderr, " %s", stages[i]->name);
    fprintf(stderr, "\nrustbox-consumer --help says more\n");
    return 64;
}

static int arguments(int argc, char **argv, const char **stage, const char **instance)
{
    for (int i = 1; i < argc; i += 2) {
        const char **to = strcmp(argv[i], "--stage") == 0      ? stage
                          : strcmp(argv[i], "--instance") == 0 ? instance
                                                               : NULL;
        if (!to)
            return wrong("unknown argument ", argv[i]);
        if (i + 1 == argc)
            return wrong("a value is missing after ", argv[i]);
        *to = argv[i + 1];
    }
    return 0;
}

static int run(const struct stage *stage, const char *instance, const struct config *config)
{
    char host[64] = "host", client_id[160];
    enum log_level level;
    struct runtime_options options = {stage, config, client_id, clock_from_env(), rnd_system()};

    gethostname(host, sizeof host - 1);
    snprintf(client_id, sizeof client_id, "rustbox-%s-%s-%s", stage->name, host, instance);
    if (log_level_parse(config_text(config, SETTING_log_level), &level) < 0)
        return wrong("[log] level is not debug, info, warn or error: ",
                     config_text(config, SETTING_log_level));
    log_open(stage->name, level, 2, &options.clock);
    return runtime_run(&options);
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct err err = {0};
    const char *name = NULL, *instance = "0";

    if (!std_fds_hold())
        return 71;
    int status = config_args(&argc, argv, usage, &config, &err);
    if (status < 0) {
        fprintf(stderr, "rustbox-consumer: %s\n", err.message);
        return 64;
    }
    if (status > 0)
        return 0;
    status = arguments(argc, argv, &name, &instance);
    if (status == 0 && !name)
        status = wrong("--stage is missing", "");
    if (status == 0 && !find_stage(name))
        status = wrong("there is no stage ", name);
    if (status == 0)
        status = run(find_stage(name), instance, config);
    config_free(config);
    return status;
}
