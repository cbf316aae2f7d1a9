/* What a project may use (plans.def). 0 = no limit. */
#pragma once
#include "lib/base/err.h"
#include "lib/base/span.h"

enum plan_id {
#define PLAN(name, ...) PLAN_##name,
#include "schemas/plans.def"
#undef PLAN
    PLAN_COUNT
};

struct plan {
    const char *name;
    uint64_t requests_minute, requests_day, requests_month;
    uint64_t cpu_seconds_day;
    uint64_t open_max; /* submissions without a verdict; above it the gateway answers 429 */
};

const struct plan *plan_get(enum plan_id id);
const struct plan *plan_find(struct span name); /* NULL when unknown */
