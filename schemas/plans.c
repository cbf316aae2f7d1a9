/* The table of plans as data. */
#include "schemas/plans.h"
#include "lib/base/strict.h"

static const struct plan plans[PLAN_COUNT] = {
#define PLAN(name, minute, day, month, cpu, open)                                                  \
    [PLAN_##name] = {#name, minute, day, month, cpu, open},
#include "schemas/plans.def"
#undef PLAN
};

const struct plan *plan_get(enum plan_id id)
{
    CHECK((unsigned)id < PLAN_COUNT);
    return &plans[id];
}

const struct plan *plan_find(struct span name)
{
    for (unsigned i = 0; i < PLAN_COUNT; i++)
        if (span_is(name, plans[i].name))
            return &plans[i];
    return NULL;
}
