/* What admit read about projects a moment ago, so that the usual batch needs one round trip.
 *
 * A guess that is wrong stores nothing: transaction 1 itself refuses a row that is there already
 * and a budget that is used up meanwhile, and then everything is read and decided anew (delivery.md
 * rule 10). What no statement refuses (a plan or a deletion that changed, CPU time that was
 * charged) is at most ADMIT_KNOWN_MS old, as it is at the gateways (rule 26). Kept by admit, used
 * by admit_store; does no I/O. */
#pragma once
#include "consumers/admit_rules.h"

#define ADMIT_KNOWN_MS 1000
#define ADMIT_KNOWN_MAX 64

struct admit_known_project {
    struct uuid id;
    int32_t day;
    const struct plan *plan; /* not NULL */
    uint64_t requests, requests_month, cpu_ns;
    int64_t read_ms; /* monotonic */
};
struct admit_known {
    struct admit_known_project projects[ADMIT_KNOWN_MAX];
    size_t count, oldest;
};

void admit_known_forget(struct admit_known *known);
/* NULL: not known, or read too long ago. */
struct admit_known_project *admit_known_find(struct admit_known *known, const struct uuid *id,
                                             int32_t day, int64_t now_ms);
/* Takes the counters of this project and day from budgets, what was added included: after a commit.
 * fresh: they were read by this transaction, so that their age begins now. */
void admit_known_keep(struct admit_known *known, const struct uuid *id, int32_t day,
                      const struct plan *plan, struct budgets *budgets, bool fresh, int64_t now_ms);
/* Fills budgets with what is known of the project. */
void admit_known_give(const struct admit_known_project *project, struct budgets *budgets);
