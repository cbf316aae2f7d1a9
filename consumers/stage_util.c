/* Shared by the stages (stage_util.h). */
#include "consumers/stage_util.h"
#include "lib/crypto/crypto.h"
#include "lib/metrics/metrics.h"
#include <stdlib.h>

bool stage_envelope(const struct record *rec, struct envelope *env, bool *has_id)
{
    struct header headers[BUS_HEADERS_MAX];
    struct err err;
    *env = (struct envelope){.type = RECORD_COUNT};
    *has_id = false;
    if (rec->header_count > BUS_HEADERS_MAX)
        return false;
    for (size_t i = 0; i < rec->header_count; i++)
        headers[i] = (struct header){rec->headers[i].name, rec->headers[i].value};
    return envelope_decode(headers, rec->header_count, env, has_id, &err) == 0;
}

int stage_signing(const struct config *config, struct signing *out, struct err *err)
{
    struct secret secret;
    if (secret_load(config_text(config, SETTING_secrets_signing_file), &secret, err))
        return -1;
    signing_init(out, secret.bytes);
    wipe(&secret, sizeof secret);
    return 0;
}

int stage_urls(const struct config *config, struct webhook_url_policy *out, struct err *err)
{
    return webhook_url_policy(config_text(config, SETTING_webhooks_schemes),
                              config_text(config, SETTING_webhooks_ports),
                              config_text(config, SETTING_webhooks_allow_networks), out, err);
}

const char *stage_distrust(struct signing *signing, enum topic topic, const struct envelope *env,
                           const struct span *value)
{
    const char *why = signing_distrust(signing, topic, env, value);
    if (why)
        metric_add(METRIC_forged_total, topic_spec(topic)->name, 1);
    return why;
}

const char *stage_distrust_value(enum topic topic, const struct envelope *env,
                                 const struct span *value)
{
    const char *why = signing_distrust_value(env, value);
    if (why)
        metric_add(METRIC_forged_total, topic_spec(topic)->name, 1);
    return why;
}

struct key_id stage_key(const struct envelope *env)
{
    return (struct key_id){env->project, env->retention_class, uuid_day(&env->id), env->key_number};
}

int stage_open_value(struct keystore *ks, const struct envelope *env, enum record_type content,
                     struct span value, struct buf *plain, struct err *err)
{
    struct key_id key = stage_key(env);
    BUF_AUTO struct buf aad;
    buf_init(&aad, 256);
    envelope_aad(env, content, &aad);
    if (keystore_open_record(ks, &key, &env->id, buf_span(&aad), value, plain, err) == 0)
        return 0;
    char id[UUID_TEXT];
    uuid_format(&env->id, id);
    return err_wrap(err, "submission %s", id);
}

int stage_load_offsets(struct db *db, enum topic topic, struct mark *marks, size_t count,
                       struct err *err)
{
    const struct topic_spec *spec = topic_spec(topic);
    struct db_offset *rows = calloc((size_t)spec->partitions, sizeof *rows);
    size_t found = 0;
    if (!rows)
        return err_set(err, ERR_NO_MEMORY, "offsets of %s", spec->name);
    int rc = db_offsets_read(db, spec->name, rows, (size_t)spec->partitions, &found, err);
    for (size_t i = 0; !rc && i < count; i++) {
        size_t at = 0;
        if (marks[i].topic != topic)
            continue;
        while (at < found && rows[at].partition != marks[i].partition)
            at++;
        if (at == found)
            rc = err_set(err, ERR_CONFIG,
                         "consumer_offsets has no row for partition %d of %s: create the topics "
                         "anew with `rustbox admin topics`, which adds missing rows",
                         marks[i].partition, spec->name);
        else
            marks[i].next_offset = rows[at].next_offset;
    }
    free(rows);
    return rc;
}

int stage_advance(struct db *db, enum topic topic, const struct mark *marks, size_t count,
                  struct err *err)
{
    const struct topic_spec *spec = topic_spec(topic);
    struct db_offset *offsets = calloc(count + 1, sizeof *offsets);
    if (!offsets)
        return err_set(err, ERR_NO_MEMORY, "offsets of %s", spec->name);
    size_t mine = 0;
    for (size_t i = 0; i < count; i++)
        if (marks[i].topic == topic)
            offsets[mine++] = (struct db_offset){marks[i].partition, marks[i].next_offset};
    int rc = mine ? db_offsets_advance(db, spec->name, offsets, mine, err) : 0;
    free(offsets);
    return rc;
}

int stage_db_open(const struct config *config, enum setting url, const char *application,
                  enum db_plans plans, struct db **out, struct err *err)
{
    struct db_config settings = {
        .conninfo = config_text(config, url),
        .application = application,
        .statement_timeout_ms = config_ms(config, SETTING_db_statement_timeout),
        .connect_timeout_ms = config_ms(config, SETTING_db_connect_timeout),
        .look_ups = true,
        .plans = plans,
    };
    return db_open(&settings, out, err);
}
