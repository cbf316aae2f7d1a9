/* See execute_result.h. */
#include "consumers/execute_result.h"
#include "consumers/stage_util.h"
#include "lib/base/strict.h"
#include "lib/crypto/crypto.h"
#include "schemas/result.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void verdict_maker_init(struct verdict_maker *maker, struct keystore *ks, struct signing *signing,
                        const struct clock *clock)
{
    *maker = (struct verdict_maker){.ks = ks, .signing = signing, .clock = clock};
    buf_init(&maker->plain, RECORD_BYTES_MAX);
    buf_init(&maker->sealed, RECORD_BYTES_MAX);
    buf_init(&maker->aad, 256);
    maker->result = calloc(1, sizeof *maker->result);
    CHECK(maker->result != NULL);
}

void verdict_maker_done(struct verdict_maker *maker)
{
    wipe_buf(&maker->plain);
    buf_done(&maker->sealed);
    buf_done(&maker->aad);
    free(maker->result);
    maker->result = NULL;
}

static struct envelope answer(const struct envelope *job, enum record_type type)
{
    struct envelope env = *job;

    env.type = type;
    env.version = 1;
    env.is_signed = false;
    env.signer[0] = '\0';
    env.not_before_ms = 0;
    snprintf(env.origin, sizeof env.origin, "execute");
    return env;
}

static int send(struct verdict_maker *maker, const struct envelope *job, struct outbox *out,
                struct err *err)
{
    struct envelope env = answer(job, RECORD_verdict);
    struct key_id key = stage_key(&env);
    int result;

    buf_clear(&maker->plain);
    buf_clear(&maker->sealed);
    buf_clear(&maker->aad);
    envelope_aad(&env, RECORD_verdict, &maker->aad);
    result = result_pack(maker->result, &maker->plain, err);
    if (result == 0)
        result = keystore_seal(maker->ks, &key, &env.id, buf_span(&maker->aad),
                               buf_span(&maker->plain), &maker->sealed, err);
    if (maker->plain.len > 0)
        wipe(maker->plain.data, maker->plain.len);
    if (result < 0) {
        char id[UUID_TEXT];
        uuid_format(&env.id, id);
        return err_wrap(err, "verdict of submission %s", id);
    }
    if (signing_sign(maker->signing, "execute", buf_span(&maker->sealed), &env, err) < 0)
        return -1;
    return outbox_add(out, TOPIC_verdicts, &env, buf_span(&maker->sealed), err);
}

static void begin(struct verdict_maker *maker, const struct envelope *job, struct verdict_more more)
{
    struct result *result = maker->result;

    memset(result, 0, sizeof *result);
    result->id = job->id;
    result->labels = more.labels;
    result->label_count = more.label_count;
    result->cases = more.cases;
    result->case_count = more.case_count;
    result->language = job->language;
    result->profile = job->profile;
    result->times = job->times;
    result->completed_ns = maker->clock->wall_ns(maker->clock);
    memcpy(result->policy, job->policy, sizeof result->policy);
    memcpy(result->digest, job->digest, sizeof result->digest);
}

int verdict_of_report(struct verdict_maker *maker, const struct envelope *job,
                      struct verdict_more more, const struct box_report *report, struct outbox *out,
                      struct err *err)
{
    begin(maker, job, more);
    maker->result->verdict = verdict_decide(&report->evidence, TAXONOMY_STANDARD);
    maker->result->has_evidence = true;
    maker->result->evidence = report->evidence;
    maker->result->started_ns = report->evidence.started_wall_ns;
    if (report->evidence.ended_wall_ns)
        maker->result->completed_ns = report->evidence.ended_wall_ns;
    maker->result->out = report->out;
    maker->result->errout = report->errout;
    return send(maker, job, out, err);
}

int verdict_of_cases(struct verdict_maker *maker, const struct envelope *job,
                     struct verdict_more more, struct decision decision, const struct evidence *ev,
                     int64_t started_ns, struct outbox *out, struct err *err)
{
    begin(maker, job, more);
    maker->result->verdict = decision;
    maker->result->has_evidence = true;
    maker->result->evidence = *ev;
    maker->result->started_ns = started_ns;
    return send(maker, job, out, err);
}

int verdict_of_cause(struct verdict_maker *maker, const struct envelope *job,
                     struct verdict_more more, enum cause cause, struct outbox *out,
                     struct err *err)
{
    begin(maker, job, more);
    maker->result->verdict = verdict_without_run(cause);
    return send(maker, job, out, err);
}

void progress_started(const struct envelope *job, struct outbox *out)
{
    struct envelope env = answer(job, RECORD_progress);
    struct err ignored;

    snprintf(env.origin, sizeof env.origin, "execute.%d", getpid()); /* the gateway counts them */
    sha256(SPAN_LIT(""), env.digest);
    if (outbox_add(out, TOPIC_progress, &env, SPAN_LIT(""), &ignored) < 0)
        return; /* best effort */
}
