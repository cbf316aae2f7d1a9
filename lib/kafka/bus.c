/* What every handle shares: settings, the class of each library error, wake-up descriptors.
 *
 * Called by the other files of this folder. Never logs: the library's log lines are dropped, the
 * reason of the last error is kept by the handle and put into messages. */
#include "lib/base/cleanup.h"
#include "lib/kafka/internal.h"
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>

static void ignore_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

void bus_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char text[256];

    if (err->code != ERR_NONE)
        return;
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        err_set(err, ERR_CONFIG, "Kafka client setting %s = %s: %s", name, value, text);
}

void bus_set_int(rd_kafka_conf_t *conf, const char *name, int value, struct err *err)
{
    char text[16];

    snprintf(text, sizeof text, "%d", value);
    bus_set(conf, name, text, err);
}

rd_kafka_conf_t *bus_conf(const struct bus_config *config, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    err->code = ERR_NONE;
    rd_kafka_conf_set_log_cb(conf, ignore_log);
    bus_set(conf, "bootstrap.servers", config->brokers, err);
    if (config->client_id && config->client_id[0])
        bus_set(conf, "client.id", config->client_id, err);
    bus_set(conf, "socket.nagle.disable", "true", err);
    bus_set(conf, "socket.keepalive.enable", "true", err);
    bus_set(conf, "reconnect.backoff.ms", "50", err);
    bus_set(conf, "reconnect.backoff.max.ms", "1000", err);
    bus_set_int(conf, "message.max.bytes", BUS_MESSAGE_BYTES, err);
    if (err->code == ERR_NONE)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_t *bus_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *err)
{
    char text[256];
    rd_kafka_t *rk = NULL;

    if (err->code == ERR_NONE) {
        rk = rd_kafka_new(type, conf, text, sizeof text);
        if (!rk)
            err_set(err, ERR_CONFIG, "cannot create a Kafka client: %s", text);
    }
    if (!rk)
        rd_kafka_conf_destroy(conf);
    return rk;
}

int bus_topic_name(const char *prefix, const char *topic, char out[BUS_NAME_MAX], struct err *err)
{
    int len = snprintf(out, BUS_NAME_MAX, "%s%s", prefix ? prefix : "", topic);

    if (len < 0 || len >= BUS_NAME_MAX)
        return err_set(err, ERR_CONFIG, "topic name %.60s... is longer than %d characters", topic,
                       BUS_NAME_MAX - 1);
    return 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored                                                                     \
    "-Wswitch-enum" /* 200 codes: what is not named is the broker's trouble */
enum err_code bus_code(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return ERR_NONE;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
        return ERR_BUSY;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        return ERR_TOO_LARGE;
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
        return ERR_BUG;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
        return ERR_CONFIG;
    default:
        return ERR_BROKER;
    }
}
#pragma GCC diagnostic pop

/* A remedy, where the library's words alone would leave the reader alone. */
static const char *remedy(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return "; `rustbox admin topics` creates what is missing";
    if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        return "; another process runs under the same client id: give each its own";
    return "";
}

int bus_fail(struct err *err, rd_kafka_t *rk, const struct bus_reason *reason,
             rd_kafka_resp_err_t code, const char *what)
{
    char text[256];
    rd_kafka_resp_err_t fatal = rk ? rd_kafka_fatal_error(rk, text, sizeof text) : 0;

    if (fatal && bus_code(fatal) == ERR_CONFIG)
        return err_set(err, ERR_CONFIG, "%s: %s%s", what, text, remedy(fatal));
    if (fatal)
        return err_set(err, ERR_BUG,
                       "%s: %s: the handle is unusable, the process must be restarted", what, text);
    if (reason && reason->text[0])
        return err_set(err, bus_code(code), "%s: %s (%s)%s", what, rd_kafka_err2str(code),
                       reason->text, remedy(code));
    return err_set(err, bus_code(code), "%s: %s%s", what, rd_kafka_err2str(code), remedy(code));
}

void bus_reason_set(struct bus_reason *reason, rd_kafka_resp_err_t code, const char *text)
{
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && reason->text[0])
        return; /* what was said before names the address */
    snprintf(reason->text, sizeof reason->text, "%s: %s", rd_kafka_err2name(code), text);
    for (char *c = reason->text; *c; c++)
        if (*c == '\n')
            *c = ' ';
}

int bus_wake_open(rd_kafka_queue_t *queue, int *fd, struct err *err)
{
    static const uint64_t one = 1;

    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (*fd < 0)
        return err_sys(err, ERR_SYSTEM, "eventfd");
    rd_kafka_queue_io_event_enable(queue, *fd, &one, sizeof one);
    return 0;
}

void bus_wake_drain(int fd)
{
    uint64_t count;

    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}
