/* Gathers under load: a consumer that is answered often waits before it takes the next answer, so
 * that a fetch brings several records; one that is answered now and then takes each at once.
 *
 * fetch.min.bytes and fetch.wait.max.ms cannot do that: they are fixed when the handle is made, and
 * an idle consumer pays them as latency. The library sends its next fetch when it has taken the
 * answer to the last one, so the wait is in the thread that takes answers, through the library's
 * interceptor. Interceptors are asked not to block; this wait is at most gather_ms, that thread
 * serves one broker connection, and the group's heartbeats go over another one. Who begins to wait
 * for a record ends it (gather_hurry). Called by consumer.c. */
#include "lib/base/clock.h"
#include "lib/base/strict.h"
#include "lib/kafka/internal.h"
#include <time.h>

#define API_FETCH 1
#define BURST 8            /* answers that may follow each other at once */
#define ENOUGH_BYTES 65536 /* an answer that is gathered already */

int64_t gather_wait_ns(struct gather *gather, int64_t now_ns, size_t bytes)
{
    int64_t most_ns = now_ns + (BURST + 1) * gather->apart_ns; /* debts of a hurry are not kept */
    int64_t wait_ns;

    if (bytes >= ENOUGH_BYTES)
        return 0;
    if (gather->paid_ns < now_ns)
        gather->paid_ns = now_ns;
    gather->paid_ns += gather->apart_ns;
    if (gather->paid_ns > most_ns)
        gather->paid_ns = most_ns;
    wait_ns = gather->paid_ns - now_ns - BURST * gather->apart_ns;
    return wait_ns > 0 ? wait_ns : 0;
}

void gather_init(struct gather *gather)
{
    pthread_condattr_t clock;

    pthread_mutex_init(&gather->lock, NULL);
    pthread_condattr_init(&clock);
    CHECK(pthread_condattr_setclock(&clock, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&gather->hurry, &clock) == 0);
    pthread_condattr_destroy(&clock);
}

void gather_done(struct gather *gather)
{
    pthread_cond_destroy(&gather->hurry);
    pthread_mutex_destroy(&gather->lock);
}

void gather_hurry(struct gather *gather, bool hurry)
{
    pthread_mutex_lock(&gather->lock);
    gather->hurried = hurry;
    if (hurry)
        pthread_cond_broadcast(&gather->hurry);
    pthread_mutex_unlock(&gather->lock);
}

static rd_kafka_resp_err_t on_answer(rd_kafka_t *rk, int socket, const char *broker, int32_t id,
                                     int16_t api, int16_t version, int32_t correlation,
                                     size_t bytes, int64_t rtt, rd_kafka_resp_err_t code,
                                     void *opaque)
{
    struct gather *gather = opaque;
    struct timespec until;
    int64_t now_ns, wait_ns;

    (void)rk, (void)socket, (void)broker, (void)id, (void)version, (void)correlation, (void)rtt;
    if (api != API_FETCH || code)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    pthread_mutex_lock(&gather->lock); /* each broker has a thread */
    now_ns = clock_system.mono_ns(&clock_system);
    wait_ns = gather_wait_ns(gather, now_ns, bytes);
    until = (struct timespec){(now_ns + wait_ns) / 1000000000, (now_ns + wait_ns) % 1000000000};
    while (wait_ns > 0 && !gather->hurried &&
           pthread_cond_timedwait(&gather->hurry, &gather->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&gather->lock);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
                                  char *text, size_t size)
{
    (void)conf, (void)text, (void)size;
    return rd_kafka_interceptor_add_on_response_received(rk, "gather", on_answer, opaque);
}

void gather_enable(struct gather *gather, rd_kafka_conf_t *conf, int apart_ms, struct err *err)
{
    if (apart_ms == 0 || err->code != ERR_NONE)
        return;
    gather->apart_ns = (int64_t)apart_ms * 1000000;
    if (rd_kafka_conf_interceptor_add_on_new(conf, "gather", on_new, gather))
        err_set(err, ERR_CONFIG, "the Kafka client takes no interceptor");
}
