/* See admit_known.h. */
#include "consumers/admit_known.h"

void admit_known_forget(struct admit_known *known)
{
    known->count = known->oldest = 0;
}

static struct admit_known_project *find(struct admit_known *known, const struct uuid *id,
                                        int32_t day)
{
    for (size_t i = 0; i < known->count; i++)
        if (known->projects[i].day == day && uuid_eq(&known->projects[i].id, id))
            return &known->projects[i];
    return NULL;
}

struct admit_known_project *admit_known_find(struct admit_known *known, const struct uuid *id,
                                             int32_t day, int64_t now_ms)
{
    struct admit_known_project *project = find(known, id, day);
    return project && now_ms - project->read_ms < ADMIT_KNOWN_MS ? project : NULL;
}

static struct admit_known_project *place(struct admit_known *known)
{
    if (known->count < ADMIT_KNOWN_MAX)
        return &known->projects[known->count++];
    known->oldest = (known->oldest + 1) % ADMIT_KNOWN_MAX;
    return &known->projects[known->oldest];
}

static uint64_t used(struct budgets *budgets, const struct uuid *id, int32_t day,
                     enum counter_kind kind)
{
    const struct counter *counter = budget_counter(budgets, id, day, kind);
    return counter->used + counter->added;
}

void admit_known_keep(struct admit_known *known, const struct uuid *id, int32_t day,
                      const struct plan *plan, struct budgets *budgets, bool fresh, int64_t now_ms)
{
    struct admit_known_project *project = find(known, id, day);
    if (!plan || (!project && !fresh))
        return;
    if (!project)
        project = place(known);
    *project = (struct admit_known_project){
        .id = *id,
        .day = day,
        .plan = plan,
        .requests = used(budgets, id, day, COUNTER_requests),
        .requests_month = used(budgets, id, month_first(day), COUNTER_requests_month),
        .cpu_ns = used(budgets, id, day, COUNTER_cpu_ns),
        .read_ms = fresh ? now_ms : project->read_ms};
}

void admit_known_give(const struct admit_known_project *project, struct budgets *budgets)
{
    const struct uuid *id = &project->id;
    int32_t day = project->day;
    budget_counter(budgets, id, day, COUNTER_cpu_ns)->used = project->cpu_ns;
    budget_counter(budgets, id, day, COUNTER_requests)->used = project->requests;
    budget_counter(budgets, id, month_first(day), COUNTER_requests_month)->used =
        project->requests_month;
}
