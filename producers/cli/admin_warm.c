/* The verb `admin warm`: probe records, one at a time, until the broker's Java has compiled what a
 * record's way through it runs. Probes go to `progress`, which is kept for an hour and never
 * flushed; every reader drops them. */
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "producers/cli/admin.h"
#include <stdio.h>

#define RECORDS 8000
#define RECORDS_MAX 1000000
#define SECONDS 15
#define SECONDS_MAX 600
#define TIMEOUT_MS 15000

enum { WARM_RECORDS, WARM_SECONDS };
static const struct option warm_options[] = {
    [WARM_RECORDS] = {"--records", "N", "how many (8000)"},
    [WARM_SECONDS] = {"--seconds", "N", "no more after so many seconds (15)"},
};

static void no_delivery(void *owner, const struct delivery *delivery)
{
    (void)owner, (void)delivery; /* probes have none */
}

static int send_probes(struct producer *producer, int64_t records, int64_t until_ns, int64_t *sent,
                       struct err *err)
{
    const char *topic = topic_spec(TOPIC_progress)->name;

    while (*sent < records && clock_system.mono_ns(&clock_system) < until_ns) {
        if (producer_warm(producer, &topic, 1, TIMEOUT_MS, err))
            return err_wrap(err, "after %lld records", (long long)*sent);
        ++*sent;
    }
    return 0;
}

static int run_warm(const struct args *args, int *exit_code, struct err *err)
{
    struct config *config = NULL;
    struct producer *producer = NULL;
    int64_t records, seconds, sent = 0, begin_ns = clock_system.mono_ns(&clock_system);
    (void)exit_code;
    int failed =
        option_number(args, WARM_RECORDS, "--records", RECORDS, RECORDS_MAX, &records, err) ||
        option_number(args, WARM_SECONDS, "--seconds", SECONDS, SECONDS_MAX, &seconds, err) ||
        cli_config(args, &config, err);
    if (!failed) {
        struct bus_config bus = admin_bus(config);
        failed = producer_open(&bus, no_delivery, NULL, &producer, err) ||
                 send_probes(producer, records, begin_ns + seconds * 1000000000, &sent, err);
    }
    if (producer)
        producer_close(producer);
    config_free(config);
    if (failed)
        return -1;
    int64_t ms = (clock_system.mono_ns(&clock_system) - begin_ns) / 1000000;
    printf(args->json ? "{\"records\":%lld,\"ms\":%lld}\n"
                      : "the broker took %lld probe records in %lld ms\n",
           (long long)sent, (long long)ms);
    return 0;
}

const struct verb verb_admin_warm = {
    .name = "admin warm",
    .positional = "",
    .summary = "let a broker that has just started compile itself before somebody waits",
    .details = "Probe records, one at a time, to the topic `progress`; every reader drops them. "
               "ops/up calls it.",
    .options = warm_options,
    .option_count = COUNT_OF(warm_options),
    .run = run_warm,
};
