/* Signatures of records (signing.h). */
#include "schemas/signing.h"
#include "lib/base/strict.h"
#include <stdio.h>

#define TEXT_MAX 8192 /* of the signed headers; all of them together stay below 1 KiB */

/* Who may write what. A signature of anybody else counts for nothing, however good. */
static const struct writers {
    enum topic topic;
    enum record_type type;
    const char *signers[2];
} table[] = {
    {TOPIC_submissions, RECORD_submission, {"gateway"}},
    {TOPIC_jobs_interactive, RECORD_job, {"admit"}},
    {TOPIC_jobs_batch, RECORD_job, {"admit"}},
    {TOPIC_verdicts, RECORD_verdict, {"admit", "execute"}},
    {TOPIC_control, RECORD_control, {"gateway", "admin"}},
    {TOPIC_endpoints, RECORD_endpoint, {"relay"}},
    {TOPIC_webhooks, RECORD_webhook, {"relay"}},
    {TOPIC_webhooks_retry_5s, RECORD_webhook, {"deliver"}},
    {TOPIC_webhooks_retry_1m, RECORD_webhook, {"deliver"}},
    {TOPIC_webhooks_retry_10m, RECORD_webhook, {"deliver"}},
    {TOPIC_webhooks_retry_1h, RECORD_webhook, {"deliver"}},
    {TOPIC_webhooks_retry_6h, RECORD_webhook, {"deliver"}},
    {TOPIC_webhooks_retry_24h, RECORD_webhook, {"deliver"}},
    {TOPIC_webhooks_dead, RECORD_webhook, {"deliver"}},
    {TOPIC_attempts, RECORD_attempt, {"deliver"}},
};

static bool may_write(enum topic topic, const struct envelope *env)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        for (size_t s = 0; s < COUNT_OF(table[i].signers) && table[i].signers[s]; s++)
            if (table[i].topic == topic && table[i].type == env->type &&
                strcmp(table[i].signers[s], env->signer) == 0)
                return true;
    return false;
}

void signing_init(struct signing *signing, const uint8_t secret[KEY_BYTES])
{
    memcpy(signing->secret, secret, sizeof signing->secret);
    buf_init(&signing->text, TEXT_MAX);
}

void signing_done(struct signing *signing)
{
    wipe(signing->secret, sizeof signing->secret);
    buf_done(&signing->text);
}

static int mac_of(struct signing *signing, const struct envelope *env, uint8_t mac[SHA256_BYTES],
                  struct err *err)
{
    buf_clear(&signing->text);
    if (envelope_signed_text(env, &signing->text, err))
        return -1;
    hmac_sha256(span_of(signing->secret, sizeof signing->secret), buf_span(&signing->text), mac);
    return 0;
}

int signing_sign(struct signing *signing, const char *signer, struct span value,
                 struct envelope *env, struct err *err)
{
    snprintf(env->signer, sizeof env->signer, "%s", signer);
    sha256(value, env->digest);
    env->is_signed = mac_of(signing, env, env->signature, err) == 0;
    return env->is_signed ? 0 : -1;
}

const char *signing_distrust(struct signing *signing, enum topic topic, const struct envelope *env,
                             const struct span *value)
{
    uint8_t mac[SHA256_BYTES];
    struct err ignored;
    if (!env->is_signed)
        return "signature: is missing";
    if (!may_write(topic, env))
        return "signer: may not write records of this type to this topic";
    if (mac_of(signing, env, mac, &ignored) || !equal_ct(mac, env->signature, sizeof mac))
        return "signature: is not this installation's";
    return value ? signing_distrust_value(env, value) : NULL;
}

const char *signing_distrust_value(const struct envelope *env, const struct span *value)
{
    uint8_t digest[SHA256_BYTES];
    sha256(*value, digest);
    return equal_ct(digest, env->digest, sizeof digest) ? NULL
                                                        : "value: differs from its signed digest";
}
