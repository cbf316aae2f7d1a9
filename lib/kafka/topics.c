/* Topics: creates what is missing, mends settings, refuses a broker that differs.
 *
 * One list of settings (want_settings) serves all three, so that a topic made here passes the
 * check. Called by `rustbox admin topics` and by every process at start. Never deletes a topic and
 * never changes a number of partitions. */
#include "lib/base/clock.h"
#include "lib/kafka/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOPICS_AT_ONCE 64
#define MEND "run `rustbox admin topics`"

struct setting {
    const char *name;
    char value[24];
};
#define SETTINGS_MAX 5

static size_t want_settings(const struct topic_want *want, struct setting out[SETTINGS_MAX])
{
    size_t n = 0;

    out[n++] = (struct setting){"message.timestamp.type", "LogAppendTime"};
    out[n] = (struct setting){.name = "max.message.bytes"};
    snprintf(out[n++].value, sizeof out->value, "%d", BUS_MESSAGE_BYTES);
    out[n] = (struct setting){.name = "retention.ms"};
    snprintf(out[n++].value, sizeof out->value, "%lld", (long long)want->retention_ms);
    out[n] = (struct setting){.name = "cleanup.policy"};
    snprintf(out[n++].value, sizeof out->value, "%s", want->compact ? "compact" : "delete");
    if (want->flush_each_message)
        out[n++] = (struct setting){"flush.messages", "1"};
    return n;
}

enum differs { DIFFERS_NOT, DIFFERS_MISSING, DIFFERS_PARTITIONS, DIFFERS_SETTING, DIFFERS_UNKNOWN };

/* One administrative call at a time: a handle, the options and where the answer comes. */
struct admin {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    int timeout_ms;
};

static int admin_open(struct admin *admin, const struct bus_config *config, int timeout_ms,
                      struct err *err)
{
    rd_kafka_conf_t *conf = bus_conf(config, err);

    *admin = (struct admin){.timeout_ms = timeout_ms};
    if (!conf)
        return -1;
    admin->rk = bus_handle(RD_KAFKA_PRODUCER, conf, err);
    if (!admin->rk)
        return -1;
    admin->queue = rd_kafka_queue_new(admin->rk);
    return 0;
}

static void admin_close(struct admin *admin)
{
    if (admin->event)
        rd_kafka_event_destroy(admin->event);
    if (admin->queue)
        rd_kafka_queue_destroy(admin->queue);
    if (admin->rk)
        rd_kafka_destroy(admin->rk);
}
#define AUTO_ADMIN __attribute__((cleanup(admin_close)))

static rd_kafka_AdminOptions_t *admin_options(struct admin *admin, rd_kafka_admin_op_t operation)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->rk, operation);
    char text[128];

    rd_kafka_AdminOptions_set_request_timeout(options, admin->timeout_ms, text, sizeof text);
    return options;
}

static int admin_wait(struct admin *admin, const char *what, struct err *err)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;

    if (admin->event)
        rd_kafka_event_destroy(admin->event);
    admin->event = rd_kafka_queue_poll(admin->queue, admin->timeout_ms + 500);
    if (admin->event)
        code = rd_kafka_event_error(admin->event);
    return code ? bus_fail(err, admin->rk, NULL, code, what) : 0;
}

static int create_answers(struct admin *admin, struct err *err)
{
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(admin->event);
    size_t count;
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);

    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(topics[i]);
        if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return err_set(err, bus_code(code), "creating topic %s: %.200s",
                           rd_kafka_topic_result_name(topics[i]),
                           rd_kafka_topic_result_error_string(topics[i]));
    }
    return 0;
}

static int create_missing(struct admin *admin, const char *prefix, const struct topic_want *wants,
                          size_t count, struct err *err)
{
    rd_kafka_AdminOptions_t *options = admin_options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_NewTopic_t *topics[TOPICS_AT_ONCE];
    struct setting settings[SETTINGS_MAX];
    char name[BUS_NAME_MAX], text[200];
    size_t made = 0;
    int result = 0;

    for (; made < count && result == 0; made++) {
        result = bus_topic_name(prefix, wants[made].name, name, err);
        topics[made] = rd_kafka_NewTopic_new(name, wants[made].partitions, -1, text, sizeof text);
        if (!topics[made]) {
            result = err_set(err, ERR_CONFIG, "topic %s: %s", name, text);
            break;
        }
        size_t n = want_settings(&wants[made], settings);
        for (size_t s = 0; s < n; s++)
            rd_kafka_NewTopic_set_config(topics[made], settings[s].name, settings[s].value);
    }
    if (result == 0) {
        rd_kafka_CreateTopics(admin->rk, topics, made, options, admin->queue);
        result = admin_wait(admin, "creating topics", err);
    }
    rd_kafka_NewTopic_destroy_array(topics, made);
    rd_kafka_AdminOptions_destroy(options);
    return result < 0 ? -1 : create_answers(admin, err);
}

/* Asks for, or sets, the configuration of all topics; the answer is in admin->event. */
static int configs(struct admin *admin, const char *prefix, const struct topic_want *wants,
                   size_t count, bool alter, struct err *err)
{
    rd_kafka_AdminOptions_t *options = admin_options(
        admin, alter ? RD_KAFKA_ADMIN_OP_ALTERCONFIGS : RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resources[TOPICS_AT_ONCE];
    struct setting settings[SETTINGS_MAX];
    char name[BUS_NAME_MAX];
    size_t made = 0;
    int result = 0;

    for (; made < count && result == 0; made++) {
        result = bus_topic_name(prefix, wants[made].name, name, err);
        resources[made] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
        size_t n = alter ? want_settings(&wants[made], settings) : 0;
        for (size_t s = 0; s < n; s++)
            rd_kafka_ConfigResource_set_config(resources[made], settings[s].name,
                                               settings[s].value);
    }
    if (result == 0) {
        if (alter)
            rd_kafka_AlterConfigs(admin->rk, resources, made, options, admin->queue);
        else
            rd_kafka_DescribeConfigs(admin->rk, resources, made, options, admin->queue);
        result =
            admin_wait(admin, alter ? "changing topic settings" : "reading topic settings", err);
    }
    rd_kafka_ConfigResource_destroy_array(resources, made);
    rd_kafka_AdminOptions_destroy(options);
    return result;
}

static const char *found_value(const rd_kafka_ConfigResource_t *resource, const char *name)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(entries[i]);
    return NULL;
}

static int compare(const rd_kafka_ConfigResource_t *resource, const struct topic_want *want,
                   struct err *err)
{
    const char *name = rd_kafka_ConfigResource_name(resource);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
    struct setting settings[SETTINGS_MAX];
    size_t n = want_settings(want, settings);

    if (code)
        return err_set(err, bus_code(code), "topic %s: its settings cannot be read: %s", name,
                       rd_kafka_err2str(code));
    for (size_t i = 0; i < n; i++) {
        const char *found = found_value(resource, settings[i].name);
        if (!found || strcmp(found, settings[i].value) != 0)
            return err_set(err, ERR_CONFIG, "topic %s: %s is %s, wanted is %s: " MEND, name,
                           settings[i].name, found ? found : "unknown", settings[i].value);
    }
    return 0;
}

static const rd_kafka_ConfigResource_t **described(struct admin *admin, size_t *count)
{
    return rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(admin->event), count);
}

static int check_settings(struct admin *admin, const char *prefix, const struct topic_want *wants,
                          size_t count, enum differs *how, struct err *err)
{
    size_t prefix_len = strlen(prefix), found;
    const rd_kafka_ConfigResource_t **resources;

    *how = DIFFERS_UNKNOWN;
    if (configs(admin, prefix, wants, count, false, err) < 0)
        return -1;
    resources = described(admin, &found);
    for (size_t r = 0; r < found; r++)
        for (size_t w = 0; w < count; w++)
            if (strcmp(rd_kafka_ConfigResource_name(resources[r]) + prefix_len, wants[w].name) ==
                    0 &&
                compare(resources[r], &wants[w], err) < 0) {
                *how = err->code == ERR_CONFIG ? DIFFERS_SETTING : DIFFERS_UNKNOWN;
                return -1;
            }
    *how = DIFFERS_NOT;
    return 0;
}

static int check_partitions(struct admin *admin, const char *prefix, const struct topic_want *wants,
                            size_t count, enum differs *how, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin->rk, 1, NULL, &metadata, admin->timeout_ms);
    int result = 0;

    *how = DIFFERS_UNKNOWN;
    if (code)
        return bus_fail(err, admin->rk, NULL, code, "reading the list of topics");
    for (size_t w = 0; w < count && result == 0; w++) {
        char name[BUS_NAME_MAX];
        int found = -1;
        result = bus_topic_name(prefix, wants[w].name, name, err);
        for (int t = 0; t < metadata->topic_cnt; t++)
            if (strcmp(metadata->topics[t].topic, name) == 0)
                found = metadata->topics[t].partition_cnt;
        *how = found <= 0 ? DIFFERS_MISSING : DIFFERS_PARTITIONS;
        if (result == 0 && found <= 0)
            result = err_set(err, ERR_CONFIG,
                             "topic %s: does not exist, wanted are %d partitions: " MEND, name,
                             wants[w].partitions);
        else if (result == 0 && found != wants[w].partitions)
            result =
                err_set(err, ERR_CONFIG,
                        "topic %s: partitions is %d, wanted is %d: the number is permanent, so "
                        "use a broker or a topic prefix without this topic and " MEND,
                        name, found, wants[w].partitions);
    }
    rd_kafka_metadata_destroy(metadata);
    return result;
}

static int check(struct admin *admin, const char *prefix, const struct topic_want *wants,
                 size_t count, enum differs *how, struct err *err)
{
    if (check_partitions(admin, prefix, wants, count, how, err) < 0)
        return -1;
    return check_settings(admin, prefix, wants, count, how, err);
}

int bus_topics_check(const struct bus_config *config, const struct topic_want *wants, size_t count,
                     int timeout_ms, struct err *err)
{
    struct admin admin AUTO_ADMIN = {0};
    enum differs how;

    if (count > TOPICS_AT_ONCE)
        return err_set(err, ERR_BUG, "more than %d topics", TOPICS_AT_ONCE);
    if (admin_open(&admin, config, timeout_ms, err) < 0)
        return -1;
    return check(&admin, config->prefix ? config->prefix : "", wants, count, &how, err);
}

/* What was just made or changed is not in every answer of the broker yet. */
static int check_soon(struct admin *admin, const char *prefix, const struct topic_want *wants,
                      size_t count, enum differs passing, enum differs *how, struct err *err)
{
    int64_t until_ms = clock_mono_ms(&clock_system) + admin->timeout_ms;

    while (check(admin, prefix, wants, count, how, err) < 0) {
        if (*how != passing || clock_mono_ms(&clock_system) >= until_ms)
            return -1;
        usleep(50000);
    }
    return 0;
}

static int alter_answers(struct admin *admin, struct err *err)
{
    size_t count;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_AlterConfigs_result_resources(
        rd_kafka_event_AlterConfigs_result(admin->event), &count);

    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
        if (code)
            return err_set(err, bus_code(code), "topic %s: changing its settings: %s",
                           rd_kafka_ConfigResource_name(resources[i]), rd_kafka_err2str(code));
    }
    return 0;
}

int bus_there(const struct bus_config *config, int timeout_ms, struct err *err)
{
    struct admin admin AUTO_ADMIN = {0};
    const struct rd_kafka_metadata *found;

    if (admin_open(&admin, config, timeout_ms, err) < 0)
        return -1;
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin.rk, 0, NULL, &found, timeout_ms);
    if (code)
        return err_set(err, ERR_BROKER,
                       "no broker answers at %s within %d s (%s): start it, or correct [kafka] "
                       "brokers",
                       config->brokers, timeout_ms / 1000, rd_kafka_err2str(code));
    rd_kafka_metadata_destroy(found);
    return 0;
}

int bus_topics_create(const struct bus_config *config, const struct topic_want *wants, size_t count,
                      int timeout_ms, struct err *err)
{
    struct admin admin AUTO_ADMIN = {0};
    const char *prefix = config->prefix ? config->prefix : "";
    enum differs how;

    if (count > TOPICS_AT_ONCE)
        return err_set(err, ERR_BUG, "more than %d topics", TOPICS_AT_ONCE);
    if (admin_open(&admin, config, timeout_ms, err) < 0 ||
        create_missing(&admin, prefix, wants, count, err) < 0)
        return -1;
    if (check_soon(&admin, prefix, wants, count, DIFFERS_MISSING, &how, err) == 0)
        return 0;
    if (how != DIFFERS_SETTING)
        return -1;
    if (configs(&admin, prefix, wants, count, true, err) < 0 || alter_answers(&admin, err) < 0)
        return -1;
    return check_soon(&admin, prefix, wants, count, DIFFERS_SETTING, &how, err);
}
