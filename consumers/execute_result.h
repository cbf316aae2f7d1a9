/* Makes the verdict record of a job: decides by the evidence, packs, seals under the submission's
 * key, signs it, adds it to the ticket's outputs. No scheduling. */
#pragma once
#include "consumers/runtime/stage.h"
#include "lib/keystore/keystore.h"
#include "sandbox/box.h"
#include "schemas/result.h"
#include "schemas/signing.h"
#include "schemas/verdict_rules.h"

struct verdict_maker {
    struct keystore *ks;
    struct signing *signing;
    const struct clock *clock;
    struct buf plain, sealed, aad; /* reused */
    struct result *result;
};
void verdict_maker_init(struct verdict_maker *maker, struct keystore *ks, struct signing *signing,
                        const struct clock *clock);
void verdict_maker_done(struct verdict_maker *maker);
/* What the verdict tells beside the run: the submission's labels, the results of its cases. */
struct verdict_more {
    const struct label *labels;
    const struct case_result *cases;
    size_t label_count, case_count;
};
/* ERR_ERASED: the submission's key is gone, there is nothing to say any more. */
int verdict_of_report(struct verdict_maker *maker, const struct envelope *job,
                      struct verdict_more more, const struct box_report *report, struct outbox *out,
                      struct err *err) MUST_CHECK;
int verdict_of_cause(struct verdict_maker *maker, const struct envelope *job,
                     struct verdict_more more, enum cause cause, struct outbox *out,
                     struct err *err) MUST_CHECK;
/* Decided by the caller, from this evidence and the cases. */
int verdict_of_cases(struct verdict_maker *maker, const struct envelope *job,
                     struct verdict_more more, struct decision decision, const struct evidence *ev,
                     int64_t started_ns, struct outbox *out, struct err *err) MUST_CHECK;
/* The event `started` for whoever watches; nobody awaits it. */
void progress_started(const struct envelope *job, struct outbox *out);
