/* Delivery attempts of the topic `attempts`: stored once each, and what follows from them: the
 * message's state, since when an endpoint fails and that it is disabled, a one-submission endpoint
 * that has done its work. One transaction with its offsets; every statement changes nothing when it
 * is repeated. Called by persist.c alone. */
#pragma once
#include "consumers/runtime/stage.h"
#include "lib/db/db.h"
#include "schemas/signing.h"
#include "schemas/webhook.h"

struct attempt_item {
    const struct record *rec;
    struct envelope env;
    struct webhook_attempt attempt;
    const char *why;    /* not NULL: no attempt of ours, topic `dead` */
    const char *reason; /* not NULL: it may disable its endpoint */
    size_t disable_at;  /* the result that says so */
    bool disabled;      /* it did */
};

void attempt_judge(struct signing *signing, const struct record *rec, struct attempt_item *item);
int attempts_store(struct db *db, struct attempt_item *items, size_t count,
                   const struct mark *marks, size_t mark_count, struct err *err) MUST_CHECK;
/* Dead letters, metrics, the log. */
int attempts_report(const struct attempt_item *items, size_t count, struct outbox *out,
                    struct err *err) MUST_CHECK;
