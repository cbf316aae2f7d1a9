/* What admit decides (delivery.md rules 4, 6-8, 10, 12, 16-18): pure, no I/O, no clock, no
 * allocation. The order is the contract: place and signature, then the key's owner, then the
 * record's own faults, then the budgets. So who owns a key depends on the log alone, and a gateway
 * that computed an answer from the log (rule 9) is never contradicted. */
#pragma once
#include "schemas/envelope.h"
#include "schemas/owner_rules.h"
#include "schemas/plans.h"
#include "schemas/result.h"

/* What validation found about one record. */
enum admit_finding {
    ADMIT_FINE,
    ADMIT_FORGED,     /* bad place or signature: rejected, never owns a key */
    ADMIT_REJECTED,   /* breaks a rule of submissions */
    ADMIT_UNREADABLE, /* the value does not open, or differs from its digest */
    ADMIT_ERASED,     /* its data key is gone */
    ADMIT_EXPIRED,    /* its day partition is gone: no row, passed over */
    ADMIT_DEAD,       /* no readable headers, or of a wrong day: topic `dead` alone */
    ADMIT_IGNORE,     /* a probe */
};

/* Names are those of submissions.decision. */
#define ADMIT_DECISIONS(X)                                                                         \
    X(admit) X(held) X(rejected) X(cancelled) X(erased) X(unreadable) X(alias) X(conflict)
enum admit_decision {
#define X(name) DECISION_##name,
    ADMIT_DECISIONS(X)
#undef X
        DECISION_COUNT
};
const char *admit_decision_name(enum admit_decision decision);
int admit_decision_find(struct span name, enum admit_decision *out) MUST_CHECK;

/* A row of submissions, as far as admit wants it: the stored decision. */
struct admit_row {
    enum admit_decision decision;
    enum cause cause; /* of rejected, conflict and unreadable */
    char message[RESULT_MESSAGE_MAX];
    bool owns; /* key hash and fingerprint are stored */
    bool has_owner;
    struct uuid owner;
    int32_t partition;
    int64_t offset;
};

/* From headers, place and the broker's timestamp; ADMIT_FINE = go on with the signature. `message`
 * says why not: the rule for ADMIT_FORGED, the reason for ADMIT_DEAD. */
enum admit_finding admit_judge(const struct envelope *env, bool decoded, int32_t partition,
                               int64_t broker_ms, char message[RESULT_MESSAGE_MAX]);
/* From the error of opening and unpacking the value; err is not ERR_NONE. */
enum admit_finding admit_opened(const struct err *err, char message[RESULT_MESSAGE_MAX]);

/* ---- budgets: counters of usage, as read and as this batch adds to them ---- */
enum counter_kind { COUNTER_requests, COUNTER_requests_month, COUNTER_cpu_ns };
const char *counter_kind_name(enum counter_kind kind);
struct counter {
    struct uuid project;
    int32_t day; /* the month's first for requests_month */
    enum counter_kind kind;
    uint64_t used, added, limit; /* limit 0 = none */
};
struct budgets {
    struct counter *counters; /* ascending: the order in which rows are locked */
    size_t count, capacity;   /* a batch of n records needs 3 n */
};
struct counter *budget_counter(struct budgets *budgets, const struct uuid *project, int32_t day,
                               enum counter_kind kind);
int32_t month_first(int32_t day);
/* True, and counted, when one more submission of this day fits; else `message` names the budget. */
bool budget_take(struct budgets *budgets, const struct uuid *project, const struct plan *plan,
                 int32_t day, char message[RESULT_MESSAGE_MAX]);

/* ---- the decision of a record without a row ---- */
struct admit_case {
    enum admit_finding finding;
    const char *message; /* of FORGED and REJECTED */
    bool keyed;
    enum key_answer key; /* counts when keyed and not FORGED */
    const struct key_record *owner;
    const struct plan *plan; /* NULL: the project is unknown or deleted */
};
/* Fills row but for partition and offset; takes from the budgets only for DECISION_admit. */
void admit_decide(const struct admit_case *in, const struct envelope *env, struct budgets *budgets,
                  struct admit_row *row);

/* ---- what a stored row makes this record produce (rule 10) ---- */
enum admit_output { OUTPUT_NOTHING, OUTPUT_JOB, OUTPUT_VERDICT, OUTPUT_ERASED };
enum admit_output admit_output_of(const struct admit_row *row, int32_t partition, int64_t offset);
