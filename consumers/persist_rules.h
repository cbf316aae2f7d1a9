/* What persist decides: pure, no I/O, no clock, no allocation. */
#pragma once
#include "schemas/envelope.h"
#include "schemas/verdict_rules.h"
#include "schemas/webhook.h"

enum persist_finding {
    PERSIST_STORE,   /* the value opened: a row with its summary */
    PERSIST_ERASED,  /* the key is gone, or the record says so: a row `erased` without content */
    PERSIST_EXPIRED, /* its day partition is gone: nothing to store (rule 17) */
    PERSIST_DEAD,    /* no verdict of ours: topic `dead` */
    PERSIST_IGNORE,  /* a probe */
};

/* Before the value is opened. `why` (a literal) is set for PERSIST_DEAD. */
enum persist_finding persist_judge(const struct envelope *env, bool decoded, int32_t partition,
                                   struct span value, const char **why);
/* After: what the attempt to open and read it gave. ERR_NONE = readable. */
enum persist_finding persist_opened(enum err_code code, const char **why);

/* CPU of stored rows, one sum per project and day, in the order in which rows are locked. */
struct charge {
    struct uuid project;
    int32_t day;
    uint64_t cpu_ns;
};
/* Adds to charges[0..count), which has room for one more; returns the new count. */
size_t persist_charge(struct charge *charges, size_t count, const struct uuid *project, int32_t day,
                      uint64_t cpu_ns);
const char *persist_event(enum verdict verdict); /* the webhook event of this verdict */
/* Is there one at all? Whoever used a key twice was answered 422 and knows no id. */
bool persist_tells(enum cause cause);

/* An endpoint whose attempts all failed for so long is disabled. */
#define PERSIST_FAILING_MS INT64_C(432000000) /* 120 h */
#define PERSIST_FAILING_REASON "every delivery failed for 120 hours"
/* Did the receiver fail? Not when nothing was asked of it, or the fault is ours. */
bool persist_failed(const struct webhook_attempt *attempt);
